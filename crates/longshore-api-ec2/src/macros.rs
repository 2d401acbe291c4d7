//! What most operations are made of: the model's checks, permissions, and what they do.
//!
//! `command!(Name, |ask, input| PERMISSIONS, |tx, caller, input| { ... })` is `impl Command<Ec2> for ops::Name`; it settles the
//! realm first, and undoes everything where `DryRun` asks for it. `command_always!` is for the few without `DryRun`.
//! `describe!(Name as Answer { list } of Item, not with [ids], |state, caller, input| { ... })` is a list that can be filtered
//! and paged, `describe_all!` one without pages.

macro_rules! command {
    (
        $operation:ident, |$ask:ident, $asked:ident| $resources:expr, |$tx:ident, $caller:ident, $input:ident| $run:block
    ) => {
        command!(@ $operation, |input| input.dry_run == Some(true), |$ask, $asked| $resources, |$tx, $caller, $input| $run);
    };
    (
        @ $operation:ident, |$is_dry_of:ident| $is_dry:expr, |$ask:ident, $asked:ident| $resources:expr,
        |$tx:ident, $caller:ident, $input:ident| $run:block
    ) => {
        impl longshore_service::Command<$crate::Ec2> for longshore_shapes_ec2::ops::$operation {
            type Parsed = Self::Input;
            type Answer = Self::Output;

            fn parse(
                _: &longshore_service::Cx<'_, $crate::Ec2>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::input::check(&input)?;
                Ok(input)
            }

            fn resources(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                $asked: &Self::Parsed,
            ) -> longshore_service::Resources {
                let $ask = &$crate::permission::of::<Self>(state, caller);
                $resources.into()
            }

            fn run(
                tx: &mut longshore_state::Tx<'_>,
                caller: &longshore_service::Caller,
                input: Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                type Operation = longshore_shapes_ec2::ops::$operation;
                fn run(
                    $tx: &mut longshore_state::Tx<'_>,
                    $caller: &longshore_service::Caller,
                    $input: <Operation as longshore_wire::OperationShape>::Input,
                ) -> Result<<Operation as longshore_wire::OperationShape>::Output, longshore_wire::Fault> {
                    $run
                }
                let $is_dry_of = &input;
                let is_dry = $is_dry;
                longshore_tables_ec2::Ec2Tx::settle(tx, &caller.scope);
                let answer = run(tx, caller, input)?;
                if is_dry { Err($crate::errors::dry_run().into()) } else { Ok(answer) }
            }
        }
    };
}

macro_rules! command_always {
    ($operation:ident, |$ask:ident, $asked:ident| $resources:expr, |$tx:ident, $caller:ident, $input:ident| $run:block) => {
        command!(@ $operation, |_input| false, |$ask, $asked| $resources, |$tx, $caller, $input| $run);
    };
}

macro_rules! query {
    (
        $operation:ident, |$ask:ident, $asked:ident| $resources:expr, |$state:ident, $caller:ident, $input:ident| $run:block
    ) => {
        impl longshore_service::Query<$crate::Ec2> for longshore_shapes_ec2::ops::$operation {
            type Parsed = Self::Input;
            type Answer = Self::Output;

            fn parse(
                _: &longshore_service::Cx<'_, $crate::Ec2>,
                input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::input::check(&input)?;
                Ok(input)
            }

            fn resources(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                $asked: &Self::Parsed,
            ) -> longshore_service::Resources {
                let $ask = &$crate::permission::of::<Self>(state, caller);
                $resources.into()
            }

            fn run(
                $state: &longshore_state::State,
                $caller: &longshore_service::Caller,
                $input: Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                let is_dry = $input.dry_run == Some(true);
                let answer: Self::Output = $run;
                if is_dry { Err($crate::errors::dry_run().into()) } else { Ok(answer) }
            }
        }
    };
}

/// The items are collected, filtered and cut under the lock; they are few, and what is not shown never leaves.
macro_rules! describe {
    (
        $operation:ident as $answer:ident { $list:ident } of $item:ty, not with [$($ids:ident),*],
        |$state:ident, $caller:ident, $input:ident| $all:block
    ) => {
        describe!($operation as $answer { $list } of $item, not with [$($ids),*],
            |$state, $caller, $input, _filters| $all);
    };
    // With the filters, for whoever finds what they let through faster than by looking at all there is.
    (
        $operation:ident as $answer:ident { $list:ident } of $item:ty, not with [$($ids:ident),*],
        |$state:ident, $caller:ident, $input:ident, $filters:ident| $all:block
    ) => {
        impl longshore_service::Query<$crate::Ec2> for longshore_shapes_ec2::ops::$operation {
            type Parsed = (Self::Input, $crate::paging::Page, $crate::filters::Filters<$item>);
            type Answer = Self::Output;

            fn parse(
                cx: &longshore_service::Cx<'_, $crate::Ec2>,
                mut input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                let asked = (input.max_results.take(), input.next_token.take());
                $($crate::paging::not_with(stringify!($ids), &input.$ids, &asked)?;)*
                let name = <Self as longshore_wire::OperationShape>::NAME;
                let page = $crate::paging::Page::open::<$item>(name, cx.caller, &input, asked)?;
                $crate::input::check(&input)?;
                let filters = $crate::filters::Filters::parse(input.filters.take())?;
                Ok((input, page, filters))
            }

            fn resources(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                _: &Self::Parsed,
            ) -> longshore_service::Resources {
                $crate::permission::of::<Self>(state, caller).on_all().into()
            }

            fn run(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                (input, page, filters): Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                type Operation = longshore_shapes_ec2::ops::$operation;
                fn collected(
                    $state: &longshore_state::State,
                    $caller: &longshore_service::Caller,
                    $input: &<Operation as longshore_wire::OperationShape>::Input,
                    $filters: &$crate::filters::Filters<$item>,
                ) -> Result<Vec<$item>, longshore_wire::Fault> {
                    $all
                }
                let found = collected(state, caller, &input, &filters)?;
                if input.dry_run == Some(true) {
                    return Err($crate::errors::dry_run().into());
                }
                let (items, next_token) = page.fill(filters.narrow(found));
                Ok(longshore_shapes_ec2::$answer { $list: Some(items), next_token })
            }
        }
    };
}

macro_rules! describe_all {
    (
        $operation:ident as $answer:ident { $list:ident } of $item:ty,
        |$state:ident, $caller:ident, $input:ident| $all:block
    ) => {
        impl longshore_service::Query<$crate::Ec2> for longshore_shapes_ec2::ops::$operation {
            type Parsed = (Self::Input, $crate::filters::Filters<$item>);
            type Answer = Self::Output;

            fn parse(
                _: &longshore_service::Cx<'_, $crate::Ec2>,
                mut input: Self::Input,
            ) -> Result<Self::Parsed, Self::Error> {
                $crate::input::check(&input)?;
                let filters = $crate::filters::Filters::parse(input.filters.take())?;
                Ok((input, filters))
            }

            fn resources(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                _: &Self::Parsed,
            ) -> longshore_service::Resources {
                $crate::permission::of::<Self>(state, caller).on_all().into()
            }

            fn run(
                state: &longshore_state::State,
                caller: &longshore_service::Caller,
                (input, filters): Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                type Operation = longshore_shapes_ec2::ops::$operation;
                fn collected(
                    $state: &longshore_state::State,
                    $caller: &longshore_service::Caller,
                    $input: &<Operation as longshore_wire::OperationShape>::Input,
                ) -> Result<Vec<$item>, longshore_wire::Fault> {
                    $all
                }
                let found = collected(state, caller, &input)?;
                if input.dry_run == Some(true) {
                    return Err($crate::errors::dry_run().into());
                }
                let mut items = filters.narrow(found);
                items.sort_by_cached_key($crate::filters::Filterable::place);
                Ok(longshore_shapes_ec2::$answer { $list: Some(items) })
            }
        }
    };
}
