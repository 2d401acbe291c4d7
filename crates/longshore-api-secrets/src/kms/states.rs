//! Keys switched on and off, on their way out and back, and given new material from time to time.

use std::time::Duration;

use longshore_shapes_kms::{
    CancelKeyDeletionResponse, DisableKeyOutput, DisableKeyRotationOutput, DisabledException,
    EnableKeyOutput, EnableKeyRotationOutput, GetKeyRotationStatusResponse, KMSInvalidStateException,
    ScheduleKeyDeletionResponse, ops,
};
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::kms::Unusable;
use longshore_tables_secrets::record::{KeyState, KmsKey, Manager, Rotation};
use longshore_wire::Fault;

use super::{find, shape, texts};
use crate::input::given;
use crate::keys;

const WINDOW_DAYS: u32 = 30;
const WINDOW_DAYS_MIN: u32 = 7;
/// How long a material is the newest, unless asked otherwise. The keys of services rotate so, too.
const ROTATION_DAYS: u32 = 365;

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

command!(
    Kms,
    EnableKey,
    |state, caller, input| keys::access(state, caller, "kms:EnableKey", given(&input.key_id)),
    |tx, caller, input| {
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        if key.state != KeyState::Enabled {
            let key = KmsKey { state: KeyState::Enabled, ..key };
            tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), key);
        }
        Ok(EnableKeyOutput {})
    }
);

command!(
    Kms,
    DisableKey,
    |state, caller, input| keys::access(state, caller, "kms:DisableKey", given(&input.key_id)),
    |tx, caller, input| {
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        if key.state != KeyState::Disabled {
            let key = KmsKey { state: KeyState::Disabled, ..key };
            tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), key);
        }
        Ok(DisableKeyOutput {})
    }
);

command!(
    Kms,
    ScheduleKeyDeletion,
    |state, caller, input| {
        let days = input.pending_window_in_days.unwrap_or(30);
        keys::access(state, caller, "kms:ScheduleKeyDeletion", given(&input.key_id))
            .with("kms:ScheduleKeyDeletionPendingWindowInDays", days.to_string())
    },
    |tx, caller, input| {
        let window = match input.pending_window_in_days {
            None => WINDOW_DAYS,
            Some(days) => {
                let days = u32::try_from(days).ok();
                let days = days.filter(|days| (WINDOW_DAYS_MIN..=WINDOW_DAYS).contains(days));
                days.ok_or_else(|| Fault::validation(texts::WINDOW))?
            }
        };
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        let deletion = tx.now + days(window);
        let state = KeyState::PendingDeletion { at: deletion, days: window };
        tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), KmsKey { state, ..key });
        Ok(ScheduleKeyDeletionResponse {
            deletion_date: Some(deletion),
            key_id: Some(at.arn()),
            key_state: Some(shape::state(state)),
            pending_window_in_days: i32::try_from(window).ok(),
        })
    }
);

command!(
    Kms,
    CancelKeyDeletion,
    |state, caller, input| keys::access(state, caller, "kms:CancelKeyDeletion", given(&input.key_id)),
    |tx, caller, input| {
        let (at, key) = find::key(tx.state(), caller, given(&input.key_id))?;
        let KeyState::PendingDeletion { .. } = key.state else {
            return Err(KMSInvalidStateException::new(texts::not_pending(&at.arn())).into());
        };
        let key = KmsKey { state: KeyState::Disabled, ..KmsKey::clone(key) };
        let arn = at.arn();
        tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), key);
        Ok(CancelKeyDeletionResponse { key_id: Some(arn) })
    }
);

command!(
    Kms,
    EnableKeyRotation,
    |state, caller, input| {
        let access = keys::access(state, caller, "kms:EnableKeyRotation", given(&input.key_id));
        match input.rotation_period_in_days {
            Some(days) => access.with("kms:RotationPeriodInDays", days.to_string()),
            None => access,
        }
    },
    |tx, caller, input| {
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        if key.state == KeyState::Disabled {
            return Err(DisabledException::new(Unusable::Disabled(at.arn()).to_string()).into());
        }
        let asked = input.rotation_period_in_days.and_then(|days| u32::try_from(days).ok());
        let period = asked.or(key.rotation_days).unwrap_or(ROTATION_DAYS);
        // A period that is not changed goes on.
        let rotation = match key.rotation {
            Some(rotation) if rotation.days == period => rotation,
            Some(_) | None => Rotation { days: period, next_at: tx.now + days(period) },
        };
        let key = KmsKey { rotation: Some(rotation), rotation_days: Some(period), ..key };
        tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), key);
        Ok(EnableKeyRotationOutput {})
    }
);

command!(
    Kms,
    DisableKeyRotation,
    |state, caller, input| keys::access(state, caller, "kms:DisableKeyRotation", given(&input.key_id)),
    |tx, caller, input| {
        let (at, key) = find::to_change::<Self::Error>(tx.state(), caller, given(&input.key_id))?;
        if key.state == KeyState::Disabled {
            return Err(DisabledException::new(Unusable::Disabled(at.arn()).to_string()).into());
        }
        if key.rotation.is_some() {
            tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), KmsKey { rotation: None, ..key });
        }
        Ok(DisableKeyRotationOutput {})
    }
);

query!(
    Kms,
    GetKeyRotationStatus,
    |state, caller, input| keys::access(state, caller, "kms:GetKeyRotationStatus", given(&input.key_id)),
    |state, caller, input| {
        let (at, key) = find::key(state, caller, given(&input.key_id))?;
        let rotates = match key.state {
            KeyState::Enabled | KeyState::Disabled => key.rotation,
            KeyState::PendingDeletion { .. } => None,
        };
        // Of a service's key, whose material nobody chose, AWS tells no more.
        let is_own = key.manager == Manager::Customer;
        Ok(GetKeyRotationStatusResponse {
            key_id: Some(at.arn()),
            key_rotation_enabled: Some(rotates.is_some()),
            next_rotation_date: rotates.filter(|_| is_own).map(|rotation| rotation.next_at),
            rotation_period_in_days: rotates.and_then(|rotation| i32::try_from(rotation.days).ok()),
            ..GetKeyRotationStatusResponse::default()
        })
    }
);
