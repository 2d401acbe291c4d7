//! What most operations are made of: the model's checks, permissions, and what they do.
//!
//! `command!(Name, |state, caller, asked| PERMISSIONS, |tx, caller, asked| { ... })` is `impl Command<Ecr> for
//! ops::Name`, `query!` the same with the state in the place of the transaction. Where they stand, `ops` is the module of
//! ECR's shapes.

macro_rules! command {
    ($operation:ident, |$state:ident, $asker:ident, $question:ident| $resources:expr, |$tx:ident, $caller:ident, $asked:ident| $run:block) => {
        impl longshore_service::Command<$crate::Ecr> for ops::$operation {
            type Parsed = $crate::input::Asked<Self::Input>;
            type Answer = Self::Output;
            const HAS_POLICIES: bool = true;

            fn parse(
                cx: &longshore_service::Cx<'_, $crate::Ecr>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                Ok($crate::input::Asked::read(cx, input)?)
            }

            fn resources(
                $state: &longshore_state::State,
                $asker: &longshore_service::Caller,
                $question: &Self::Parsed,
            ) -> longshore_service::Resources {
                $resources.into()
            }

            fn run(
                $tx: &mut longshore_state::Tx<'_>,
                $caller: &longshore_service::Caller,
                $asked: Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}

macro_rules! query {
    ($operation:ident, |$state:ident, $asker:ident, $question:ident| $resources:expr, |$run_state:ident, $caller:ident, $asked:ident| $run:block) => {
        impl longshore_service::Query<$crate::Ecr> for ops::$operation {
            type Parsed = $crate::input::Asked<Self::Input>;
            type Answer = Self::Output;
            const HAS_POLICIES: bool = true;

            fn parse(
                cx: &longshore_service::Cx<'_, $crate::Ecr>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                Ok($crate::input::Asked::read(cx, input)?)
            }

            fn resources(
                $state: &longshore_state::State,
                $asker: &longshore_service::Caller,
                $question: &Self::Parsed,
            ) -> longshore_service::Resources {
                $resources.into()
            }

            fn run(
                $run_state: &longshore_state::State,
                $caller: &longshore_service::Caller,
                $asked: Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}
