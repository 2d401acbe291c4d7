//! Passwords for the console: nothing else takes them. Only their hashes are kept, and these sealed.

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use longshore_base::AccountId;
use longshore_keyring::{KeyringError, Sealed, Sealing, SealingTx};
use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    EntityAlreadyExistsException, GetLoginProfileResponse, LoginProfile as LoginShape, NoSuchEntityException,
    PasswordPolicyViolationException, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::record::{LoginProfile, PasswordPolicy};
use longshore_tables_iam::{IamState, OwnKey};
use longshore_wire::Fault;
use zeroize::{Zeroize, Zeroizing};

use super::input::given;
use super::{find, input, permission, texts};
use crate::Iam;

/// What is known of a password when the state is locked: its hash, and what it is made of. It does not say itself.
pub struct Password {
    /// Until it is hashed.
    text: Zeroizing<String>,
    /// Argon2id's text, with salt and parameters.
    hash: Option<String>,
    chars: usize,
    has_upper: bool,
    has_lower: bool,
    has_digit: bool,
    has_symbol: bool,
}

/// What an account demands that has no policy of its own: three of the four kinds of characters.
const CHARS_MIN: usize = 8;
const KINDS_MIN: usize = 3;

impl Password {
    fn read(text: String) -> Self {
        Self {
            hash: None,
            chars: text.chars().count(),
            has_upper: text.chars().any(char::is_uppercase),
            has_lower: text.chars().any(char::is_lowercase),
            has_digit: text.chars().any(|character| character.is_ascii_digit()),
            has_symbol: text.chars().any(|character| !character.is_alphanumeric()),
            text: Zeroizing::new(text),
        }
    }

    /// Takes tens of milliseconds of a processor, and 19 MiB: not for strangers, and not many at a time.
    fn hash(&mut self, cx: &Cx<'_, Iam>) -> Result<(), Fault> {
        let salt = SaltString::encode_b64(&cx.api.seeds.draw().to_bytes());
        let salt = salt.map_err(|error| Fault::hidden(error.to_string()))?;
        let hash = Argon2::default().hash_password(self.text.as_bytes(), &salt);
        self.hash = Some(hash.map_err(|error| Fault::hidden(error.to_string()))?.to_string());
        self.text.zeroize();
        Ok(())
    }

    fn check(&self, policy: Option<&PasswordPolicy>) -> Result<(), PasswordPolicyViolationException> {
        let refuse = |text: String| Err(PasswordPolicyViolationException::new(text));
        let chars_min = policy.map_or(CHARS_MIN, |policy| policy.length_min as usize);
        if self.chars < chars_min {
            return refuse(format!("Password should have a minimum length of {chars_min}"));
        }
        let kinds = [
            (self.has_upper, policy.is_some_and(|policy| policy.uppercase), "uppercase letter"),
            (self.has_lower, policy.is_some_and(|policy| policy.lowercase), "lowercase letter"),
            (self.has_digit, policy.is_some_and(|policy| policy.numbers), "number"),
            (self.has_symbol, policy.is_some_and(|policy| policy.symbols), "symbol"),
        ];
        if let Some((.., what)) = kinds.iter().find(|(is_there, is_wanted, _)| *is_wanted && !is_there) {
            return refuse(format!("Password should have at least one {what}"));
        }
        let there = kinds.iter().filter(|(is_there, ..)| *is_there).count();
        if policy.is_none() && there < KINDS_MIN {
            return refuse(
                "Password should have characters of at least three kinds: uppercase letters, lowercase \
                           letters, numbers, symbols"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn store(&self, tx: &mut Tx<'_>, caller: &Caller, user: &str) -> Result<Sealed, Fault> {
        let hash = self.hash.as_deref().expect("it is prepared before it is stored");
        tx.seal(&LoginProfile::place(caller.scope.account, user), hash.as_bytes()).map_err(Fault::hidden)
    }
}

/// Whether a user has this password. For the console; it takes its time, so not under a lock that others wait for.
///
/// # Errors
/// Without the root key.
pub fn is_password(
    state: &State,
    account: AccountId,
    user_id: &str,
    password: &str,
) -> Result<bool, KeyringError> {
    let Some(login) = state.iam().realm(account).login(user_id) else { return Ok(false) };
    let hash = state.open(&LoginProfile::place(account, user_id), &login.hash)?;
    let hash = hash.as_str().and_then(|text| PasswordHash::new(text).ok()).ok_or(KeyringError::Damaged)?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

fn policy<'s>(state: &'s State, caller: &Caller) -> Option<&'s PasswordPolicy> {
    find::realm(state, caller).settings().and_then(|settings| settings.passwords.as_ref())
}

fn shown(name: &str, login: &LoginProfile) -> LoginShape {
    LoginShape {
        create_date: Some(login.created_at),
        password_reset_required: Some(login.reset_required),
        user_name: Some(name.to_owned()),
    }
}

impl Command<Iam> for ops::CreateLoginProfile {
    type Parsed = (Self::Input, Password);
    type Answer = Self::Output;

    const IS_COSTLY: bool = true;

    fn parse(_: &Cx<'_, Iam>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let password = Password::read(input.password.take().unwrap_or_default());
        Ok((input, password))
    }

    fn prepare(cx: &Cx<'_, Iam>, (_, password): &mut Self::Parsed) -> Result<(), Self::Error> {
        Ok(password.hash(cx)?)
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).user(input.user_name.as_deref()).into()
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, password): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let user =
            find::user_or_caller::<Self::Error>(tx.state(), caller, input.user_name.as_deref())?.own.clone();
        if find::realm(tx.state(), caller).login(&user.id).is_some() {
            let text = format!("Login Profile for user {} already exists.", user.name);
            return Err(EntityAlreadyExistsException::new(text).into());
        }
        password.check(policy(tx.state(), caller))?;
        let login = LoginProfile {
            hash: password.store(tx, caller, &user.id)?,
            created_at: tx.now,
            reset_required: input.password_reset_required.unwrap_or(false),
        };
        let shape = shown(&user.name, &login);
        tx.put::<LoginProfile>(OwnKey::new(caller.scope.account, &user.id), login);
        Ok(Self::Output { login_profile: Some(shape) })
    }
}

/// A user's login profile, as it is.
fn login_of(
    state: &State,
    caller: &Caller,
    user_id: &str,
    name: &str,
) -> Result<LoginProfile, NoSuchEntityException> {
    let login = find::realm(state, caller).login(user_id);
    let login = login.ok_or_else(|| NoSuchEntityException::new(texts::login_not_found(name)))?;
    Ok(LoginProfile::clone(login))
}

impl Command<Iam> for ops::UpdateLoginProfile {
    type Parsed = (Self::Input, Option<Password>);
    type Answer = Self::Output;

    const IS_COSTLY: bool = true;

    fn parse(_: &Cx<'_, Iam>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let password = input.password.take().map(Password::read);
        Ok((input, password))
    }

    fn prepare(cx: &Cx<'_, Iam>, (_, password): &mut Self::Parsed) -> Result<(), Self::Error> {
        match password {
            Some(password) => Ok(password.hash(cx)?),
            None => Ok(()),
        }
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).user(input.user_name.as_deref()).into()
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, password): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let name = given(&input.user_name);
        let id = find::user(tx.state(), caller, name)?.own.id.clone();
        let mut login = login_of(tx.state(), caller, &id, name)?;
        if let Some(password) = password {
            password.check(policy(tx.state(), caller))?;
            login.hash = password.store(tx, caller, &id)?;
        }
        login.reset_required = input.password_reset_required.unwrap_or(login.reset_required);
        tx.put::<LoginProfile>(OwnKey::new(caller.scope.account, &id), login);
        Ok(Self::Output {})
    }
}

query!(GetLoginProfile, |ask, input| ask.user(input.user_name.as_deref()), |state, caller, input| {
    let user = find::user_or_caller::<Self::Error>(state, caller, input.user_name.as_deref())?;
    let login = login_of(state, caller, &user.own.id, &user.own.name)?;
    Ok(GetLoginProfileResponse { login_profile: Some(shown(&user.own.name, &login)) })
});

command!(DeleteLoginProfile, |ask, input| ask.user(input.user_name.as_deref()), |tx, caller, input| {
    let found = find::user_or_caller::<Self::Error>(tx.state(), caller, input.user_name.as_deref())?;
    let user = found.own.clone();
    login_of(tx.state(), caller, &user.id, &user.name)?;
    tx.delete::<LoginProfile>(OwnKey::new(caller.scope.account, &user.id));
    Ok(Self::Output {})
});
