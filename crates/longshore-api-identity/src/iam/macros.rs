//! What most operations are made of: the model's checks, permissions, and what they do.
//!
//! `command!(Name, |ask, input| PERMISSIONS, |tx, caller, input| { ... })` is `impl Command<Iam> for ops::Name`, `query!`
//! the same with the state in the place of the transaction, and `list!` is a query with a [`super::paging::Page`].

macro_rules! command {
    ($operation:ident, |$ask:ident, $asked:ident| $resources:expr, |$tx:ident, $caller:ident, $input:ident| $run:block) => {
        impl longshore_service::Command<$crate::Iam> for longshore_shapes_iam::ops::$operation {
            type Parsed = Self::Input;
            type Answer = Self::Output;

            fn parse(
                _: &longshore_service::Cx<'_, $crate::Iam>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::iam::input::check(&input)?;
                Ok(input)
            }

            fn resources(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                $asked: &Self::Parsed,
            ) -> longshore_service::Resources {
                let $ask = $crate::iam::permission::of::<Self>(state, caller);
                $resources.into()
            }

            fn run(
                $tx: &mut longshore_state::Tx<'_>,
                $caller: &longshore_service::Caller,
                $input: Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}

macro_rules! query {
    ($operation:ident, |$ask:ident, $asked:ident| $resources:expr, |$state:ident, $caller:ident, $input:ident| $run:block) => {
        impl longshore_service::Query<$crate::Iam> for longshore_shapes_iam::ops::$operation {
            type Parsed = Self::Input;
            type Answer = Self::Output;

            fn parse(
                _: &longshore_service::Cx<'_, $crate::Iam>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::iam::input::check(&input)?;
                Ok(input)
            }

            fn resources(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                $asked: &Self::Parsed,
            ) -> longshore_service::Resources {
                let $ask = $crate::iam::permission::of::<Self>(state, caller);
                $resources.into()
            }

            fn run(
                $state: &longshore_state::State,
                $caller: &longshore_service::Caller,
                $input: Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}

macro_rules! list {
    ($operation:ident, |$ask:ident, $asked:ident| $resources:expr, |$state:ident, $caller:ident, $input:ident, $page:ident| $run:block) => {
        impl longshore_service::Query<$crate::Iam> for longshore_shapes_iam::ops::$operation {
            type Parsed = (Self::Input, $crate::iam::paging::Page);
            type Answer = Self::Output;

            fn parse(
                cx: &longshore_service::Cx<'_, $crate::Iam>,
                mut input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::iam::input::check(&input)?;
                let asked = (input.max_items.take(), input.marker.take());
                let name = <Self as longshore_wire::OperationShape>::NAME;
                let page = $crate::iam::paging::Page::open(name, cx.caller, &input, asked)?;
                Ok((input, page))
            }

            fn resources(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                ($asked, _): &Self::Parsed,
            ) -> longshore_service::Resources {
                let $ask = $crate::iam::permission::of::<Self>(state, caller);
                $resources.into()
            }

            fn run(
                $state: &longshore_state::State,
                $caller: &longshore_service::Caller,
                ($input, $page): Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}
