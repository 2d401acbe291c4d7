//! Tokens of temporary credentials: what strangers present as one, and what becomes of a genuine one.

use std::sync::OnceLock;

use longshore_base::{AccountId, Ids, Seed, Timestamp};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_state::{Domains, State};
use longshore_tables_iam::session::{self, Issued, Limits, Of, Session, Token};
use longshore_tables_iam::{IamTables, ids};

use crate::first_line;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The first line is an access key's id and a token that a stranger presents with it. The second says how a genuine token
/// is changed: where, by which bit, how much of it is left. The rest is what its session holds.
pub fn run(bytes: &[u8]) {
    let (presented, rest) = first_line(bytes);
    let (change, rest) = first_line(rest);
    let text = String::from_utf8_lossy(rest);
    let state = state();
    let (id, token) = presented.split_once(' ').unwrap_or(("", presented));
    let is_ours = |id: &str, token: &str| matches!(session::open(state, id, token), Token::Opened(_));
    assert!(!is_ours(id, token), "a stranger has made a session");

    let session = of(&text);
    let account = AccountId::parse("111122223333").expect("twelve digits");
    let seed = Seed::new(text.len() as u128);
    let made = session::issue(state, seed, account, session.clone()).expect("the keyring is open");
    let Issued { access_key_id, secret, token, expires } = &made;
    assert_eq!(ids::account_of_access_key(access_key_id), Some(account));
    assert_eq!(*expires, session.expires);
    match session::open(state, access_key_id, token) {
        Token::Opened(opened) => {
            assert_eq!((opened.account, &opened.session), (account, &session));
            assert_eq!(opened.secret.as_str(), secret.as_str());
        }
        // Nobody may make one that is longer than what is read: the API's limits see to that.
        Token::Foreign => assert!(token.len() > 16 * 1024, "a token of {} characters", token.len()),
        Token::Broken => panic!("what was made is broken"),
    }
    let shown = format!("{made:?}");
    assert!(!shown.contains(secret.as_str()) && !shown.contains(token), "a secret is shown: {shown}");

    // With another key's id, whoever's it is.
    let other = ids::session_key(account, &[text.len() as u8; 32]);
    assert!(&other == access_key_id || !is_ours(&other, token), "it opens with another key");
    assert!(!is_ours(id, token) || id == &**access_key_id, "it opens with a stranger's key");
    // Changed in one place, cut, or with something behind it.
    let mut numbers = change.split(' ').map(|number| number.parse::<usize>().unwrap_or_default());
    let mut next = |bound: usize| numbers.next().unwrap_or_default() % bound.max(1);
    let (at, bit, left) = (next(token.len()), next(7), next(token.len()));
    let mut changed = token.clone().into_bytes();
    changed[at] ^= 1 << bit;
    let changed = String::from_utf8(changed).expect("base64 has seven bits");
    for forged in [&changed, &token[..left], &format!("{token}{}", &token[..left.min(64) + 1])] {
        assert!(!is_ours(access_key_id, forged), "a token that was changed opens");
    }
}

/// A session with these words in it.
fn of(text: &str) -> Session {
    let mut words = text.split(['\n', '=']);
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (kind, name) = (word(), word());
    let of = match kind.len() % 5 {
        0 => Of::Role { id: kind.as_str().into(), name: name.as_str().into() },
        1 => Of::Guest { role: kind.as_str().into(), name: name.as_str().into() },
        2 => Of::User { id: (!name.is_empty()).then(|| name.as_str().into()), name: kind.as_str().into() },
        3 => Of::Account { is_guest: name.is_empty() },
        _ => Of::Federated { user: None, name: name.as_str().into() },
    };
    let mut session = Session::new(of, NOW, Timestamp::from_millis(NOW.as_millis() + name.len() as i64));
    if kind.starts_with('l') {
        session.limits = Some(Limits { inline: None, managed: vec![word().into()] });
    }
    session.source_identity = Some(word().into()).filter(|word: &std::sync::Arc<str>| !word.is_empty());
    session.transitive_tags = std::iter::repeat_with(word).take(4).map(Into::into).collect();
    session
}

/// IAM's tables and a keyring that is open.
fn state() -> &'static State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(|| {
        let domains = Domains::new("fuzz").with::<IamTables>().with::<Keyring>();
        let mut state = State::new(&domains, NOW);
        let unlocked = state.transact(NOW, Ids::new(Seed::new(1)), |tx| tx.unlock(RootKey::new([7; 32])));
        unlocked.expect("it fits").expect("a new store takes any key");
        state
    })
}
