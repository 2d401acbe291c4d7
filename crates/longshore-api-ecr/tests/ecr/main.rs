//! ECR's API as its clients speak it: JSON in, JSON out.

mod images;
mod ledger;
mod repositories;
mod support;
mod token;
