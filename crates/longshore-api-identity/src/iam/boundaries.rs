//! Permissions boundaries of users and roles.

use longshore_shapes_iam::NoSuchEntityException;
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::record::{Role, User};

use super::input::given;
use super::{find, texts};

/// Both operations for one kind: its record and the member of the input that names one; the function that finds it to
/// be changed; and what the caller is asked for, about it alone to put a boundary, and with the boundary that it has to
/// delete that.
macro_rules! boundaries {
    (
        $record:ident $name:ident: $change:expr, |$ask:ident, $of:ident| $asked:expr, $bounded:expr;
        $put:ident, $delete:ident
    ) => {
        command!(
            $put,
            |$ask, input| {
                let $of = given(&input.$name);
                $asked.with("iam:PermissionsBoundary", given(&input.permissions_boundary))
            },
            |tx, caller, input| {
                let found = $change(tx.state(), caller, given(&input.$name));
                let mut changed = $record::clone(found?);
                let arn = given(&input.permissions_boundary);
                let boundary = find::boundary(tx.state(), caller, arn);
                let missing = || NoSuchEntityException::new(texts::boundary_not_found(arn));
                changed.grants.boundary = Some(boundary.ok_or_else(missing)?);
                tx.put::<$record>(OwnKey::new(caller.scope.account, &changed.own.id.clone()), changed);
                Ok(Self::Output {})
            }
        );

        command!(
            $delete,
            |$ask, input| {
                let $of = given(&input.$name);
                $bounded
            },
            |tx, caller, input| {
                let name = given(&input.$name);
                let found = $change(tx.state(), caller, name);
                let mut changed = $record::clone(found?);
                if changed.grants.boundary.take().is_none() {
                    let text = format!("{} {name} has no permissions boundary.", stringify!($record));
                    return Err(NoSuchEntityException::new(text).into());
                }
                tx.put::<$record>(OwnKey::new(caller.scope.account, &changed.own.id.clone()), changed);
                Ok(Self::Output {})
            }
        );
    };
}

boundaries! {
    User user_name: find::user, |ask, name| ask.user(Some(name)), ask.bounded_user(Some(name));
    PutUserPermissionsBoundary, DeleteUserPermissionsBoundary
}

boundaries! {
    Role role_name: find::own_role::<Self::Error>, |ask, name| ask.role(name), ask.bounded_role(name);
    PutRolePermissionsBoundary, DeleteRolePermissionsBoundary
}
