//! Passwords by chance.

use longshore_keyring::KeyringError;
use longshore_shapes_secretsmanager::{GetRandomPasswordResponse, InvalidParameterException, ops};
use longshore_state::State;
use longshore_wire::Fault;

use super::permission;
use crate::chance::Chance;

const LENGTH: i64 = 32;
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

chance_query!(
    SecretsManager,
    GetRandomPassword,
    |_state, caller, _input| permission::on_all(caller, "GetRandomPassword"),
    |state, _caller, input, chance| {
        let excluded = input.exclude_characters.as_deref().unwrap_or_default();
        let kinds = [
            (LOWER, !input.exclude_lowercase.unwrap_or(false)),
            (UPPER, !input.exclude_uppercase.unwrap_or(false)),
            (DIGITS, !input.exclude_numbers.unwrap_or(false)),
            (PUNCTUATION, !input.exclude_punctuation.unwrap_or(false)),
            (" ", input.include_space.unwrap_or(false)),
        ];
        let wanted = kinds.into_iter().filter(|(_, is_wanted)| *is_wanted);
        let sets: Vec<Vec<u8>> = wanted
            .map(|(set, _)| {
                set.bytes().filter(|byte| !excluded.as_bytes().contains(byte)).collect::<Vec<u8>>()
            })
            .filter(|set| !set.is_empty())
            .collect();
        let length = usize::try_from(input.password_length.unwrap_or(LENGTH)).unwrap_or(0);
        let each = input.require_each_included_type.unwrap_or(true);
        if sets.is_empty() {
            return Err(
                InvalidParameterException::new("No characters are left to make a password of.").into()
            );
        }
        if each && length < sets.len() {
            let text = "The password length is too short: it has no room for one of each required type.";
            return Err(InvalidParameterException::new(text).into());
        }
        let password = password(state, &chance, &sets, length, each).map_err(Fault::hidden)?;
        Ok(GetRandomPasswordResponse { random_password: Some(password) })
    }
);

/// Numbers below a bound, each as likely as the others.
struct Draws<'a> {
    bytes: &'a [u8],
}

impl Draws<'_> {
    /// Two bytes give a number; what would make some numbers more likely is thrown away.
    fn below(&mut self, bound: usize) -> Option<usize> {
        let fair = 65_536 / bound * bound;
        while let Some((pair, rest)) = self.bytes.split_first_chunk::<2>() {
            self.bytes = rest;
            let number = usize::from(u16::from_be_bytes(*pair));
            if number < fair {
                return Some(number % bound);
            }
        }
        None
    }
}

fn password(
    state: &State,
    chance: &Chance,
    sets: &[Vec<u8>],
    length: usize,
    each: bool,
) -> Result<String, KeyringError> {
    // Twice for each character, to draw it and to move it; a number is thrown away at most every other time, and hardly
    // ever.
    let drawn = chance.fill(state, length * 16 + 256)?;
    let mut draws = Draws { bytes: &drawn };
    let all: Vec<u8> = sets.concat();
    let mut password: Vec<u8> = Vec::with_capacity(length);
    const ENOUGH: &str = "more is drawn than any password needs";
    if each {
        for set in sets {
            password.push(set[draws.below(set.len()).expect(ENOUGH)]);
        }
    }
    while password.len() < length {
        password.push(all[draws.below(all.len()).expect(ENOUGH)]);
    }
    // Otherwise the required ones would always be the first.
    for last in (1..password.len()).rev() {
        password.swap(last, draws.below(last + 1).expect(ENOUGH));
    }
    Ok(password.into_iter().map(char::from).collect())
}
