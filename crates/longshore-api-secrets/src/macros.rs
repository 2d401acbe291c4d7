//! What most operations are made of: the model's checks, permissions, and what they do.
//!
//! `command!(Api, Name, |state, caller, input| PERMISSIONS, |tx, caller, input| { ... })` is
//! `impl Command<Api> for ops::Name`, `query!` the same with the state in the place of the transaction. `chance_query!`
//! is a query that draws by chance, and `list!` one with a [`crate::paging::Page`]. Where they stand, `ops` is the
//! module of the service's shapes.

macro_rules! command {
    ($api:ident, $operation:ident, |$state:ident, $asker:ident, $asked:ident| $resources:expr, |$tx:ident, $caller:ident, $input:ident| $run:block) => {
        impl longshore_service::Command<$crate::$api> for ops::$operation {
            type Parsed = Self::Input;
            type Answer = Self::Output;
            const HAS_POLICIES: bool = true;

            fn parse(
                _: &longshore_service::Cx<'_, $crate::$api>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::input::check(&input)?;
                Ok(input)
            }

            fn resources(
                $state: &longshore_state::State,
                $asker: &longshore_service::Caller,
                $asked: &Self::Parsed,
            ) -> longshore_service::Resources {
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
    ($api:ident, $operation:ident, |$state:ident, $asker:ident, $asked:ident| $resources:expr, |$run_state:ident, $caller:ident, $input:ident| $run:block) => {
        impl longshore_service::Query<$crate::$api> for ops::$operation {
            type Parsed = Self::Input;
            type Answer = Self::Output;
            const HAS_POLICIES: bool = true;

            fn parse(
                _: &longshore_service::Cx<'_, $crate::$api>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::input::check(&input)?;
                Ok(input)
            }

            fn resources(
                $state: &longshore_state::State,
                $asker: &longshore_service::Caller,
                $asked: &Self::Parsed,
            ) -> longshore_service::Resources {
                $resources.into()
            }

            fn run(
                $run_state: &longshore_state::State,
                $caller: &longshore_service::Caller,
                $input: Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}

/// What is drawn is drawn before the state is looked at, so that such a call needs neither the writer's lock nor a
/// commit.
macro_rules! chance_query {
    ($api:ident, $operation:ident, |$state:ident, $asker:ident, $asked:ident| $resources:expr, |$run_state:ident, $caller:ident, $input:ident, $chance:ident| $run:block) => {
        impl longshore_service::Query<$crate::$api> for ops::$operation {
            type Parsed = (Self::Input, $crate::chance::Chance);
            type Answer = Self::Output;
            const HAS_POLICIES: bool = true;

            fn parse(
                cx: &longshore_service::Cx<'_, $crate::$api>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::input::check(&input)?;
                Ok((input, $crate::chance::Chance::draw(&*cx.api.seeds)))
            }

            fn resources(
                $state: &longshore_state::State,
                $asker: &longshore_service::Caller,
                ($asked, _): &Self::Parsed,
            ) -> longshore_service::Resources {
                $resources.into()
            }

            fn run(
                $run_state: &longshore_state::State,
                $caller: &longshore_service::Caller,
                ($input, $chance): Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}

/// `($size, $token, DEFAULT, Error)`: the members that say how many and from where, how many there are unless asked
/// for, and what a token is answered that is none.
macro_rules! list {
    ($api:ident, $operation:ident ($size:ident, $token:ident, $default:expr, $error:ident), |$state:ident, $asker:ident, $asked:ident, $asked_page:ident| $resources:expr, |$run_state:ident, $caller:ident, $input:ident, $page:ident| $run:block) => {
        impl longshore_service::Query<$crate::$api> for ops::$operation {
            type Parsed = (Self::Input, $crate::paging::Page);
            type Answer = Self::Output;
            const HAS_POLICIES: bool = true;

            fn parse(
                cx: &longshore_service::Cx<'_, $crate::$api>,
                mut input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::input::check(&input)?;
                let asked = (input.$size.take(), input.$token.take());
                let name = <Self as longshore_wire::OperationShape>::NAME;
                let page = $crate::paging::Page::open(name, cx.caller, &input, asked, $default);
                Ok((input, page.ok_or_else(|| $error::new($crate::paging::NO_TOKEN))?))
            }

            fn resources(
                $state: &longshore_state::State,
                $asker: &longshore_service::Caller,
                ($asked, $asked_page): &Self::Parsed,
            ) -> longshore_service::Resources {
                $resources.into()
            }

            fn run(
                $run_state: &longshore_state::State,
                $caller: &longshore_service::Caller,
                ($input, $page): Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                $run
            }
        }
    };
}
