//! Passwords that everybody tries first: a list of leaked ones, the words that lead such lists with
//! whatever stands around them, runs of the keyboard, and what repeats itself.

use unicode_normalization::UnicodeNormalization;

/// Of at least eight characters, which is the least that `min_length` can ask for; in lower case.
/// Where they come from, and on what terms, stands in `common-passwords.LICENSE`.
const LISTED: &str = include_str!("common-passwords.txt");

/// So many digits and signs around a listed password make it no other.
const TRIMMINGS: usize = 4;

/// What leads the lists of leaked passwords, as far as it is no run and no repetition.
const WORDS: [&str; 60] = [
    "abc",
    "access",
    "admin",
    "administrator",
    "angel",
    "asdf",
    "asdfgh",
    "baseball",
    "batman",
    "changeit",
    "changeme",
    "charlie",
    "computer",
    "daniel",
    "default",
    "donald",
    "dragon",
    "flower",
    "football",
    "freedom",
    "guest",
    "hello",
    "hunter",
    "iloveyou",
    "internet",
    "jordan",
    "killer",
    "letmein",
    "login",
    "love",
    "lovely",
    "master",
    "michael",
    "monkey",
    "mustang",
    "ninja",
    "passw0rd",
    "passwd",
    "password",
    "pa55word",
    "p@ssw0rd",
    "princess",
    "qazwsx",
    "qwer",
    "qwert",
    "qwerty",
    "qwertyuiop",
    "root",
    "secret",
    "service",
    "shadow",
    "starwars",
    "summer",
    "sunshine",
    "superman",
    "test",
    "trustno",
    "welcome",
    "whatever",
    "winter",
];

/// Along these a finger slides.
const RUNS: [&str; 6] = [
    "01234567890",
    "09876543210",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "poiuytrewq",
    "1q2w3e4r5t6y7u8i9o0p",
];

/// Is it one of those, in whatever case?
pub(super) fn is_common(password: &str) -> bool {
    let password: String = password.to_lowercase().nfc().collect();
    let word = password.trim_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    let listed = |text: &str| LISTED.lines().any(|listed| listed == text);
    let trimmed = password.chars().count() - word.chars().count() <= TRIMMINGS;
    listed(&password)
        || trimmed && listed(word)
        || WORDS.contains(&word)
        || word.is_empty()
        || repeats(&password)
        || repeats(word)
        || runs(&password)
}

/// The same few characters again and again.
fn repeats(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let period = |length: usize| characters.iter().zip(characters.iter().skip(length)).all(|(a, b)| a == b);
    (1..=characters.len() / 2).any(period)
        || WORDS.iter().any(|word| text.len() > word.len() && text.replace(word, "").len() <= 2)
}

/// Nothing but runs, of which each is at least four characters long.
fn runs(password: &str) -> bool {
    let mut rest = password;
    while !rest.is_empty() {
        let is_run = |length: &usize| rest.get(..*length).is_some_and(|part| RUNS.iter().any(|run| run.contains(part)));
        match (4..=rest.len()).rev().find(is_run) {
            Some(length) => rest = &rest[length..],
            None => return rest.len() <= 2 && rest.len() < password.len(),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_tries_is_common() {
        let common = [
            "password1234",
            "Password!!123",
            "123456789012",
            "qwertyuiop12",
            "qwertyuiop[]",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "letmein12345",
            "iloveyou2026!",
            "adminadmin12",
            "987654321098",
            "1q2w3e4r5t6y",
            "!!!!!!!!!!!!",
        ];
        for password in common {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn the_list_is_long_and_as_the_search_expects_it() {
        let lines: Vec<&str> = LISTED.lines().collect();
        assert!(lines.len() > 16_000, "{}", lines.len());
        assert!(lines.iter().filter(|line| line.chars().count() >= 12).count() > 300);
        assert!(lines.is_sorted(), "so that a change of it can be read");
        for line in lines {
            assert!(line.chars().count() >= 8 && line.to_lowercase().nfc().eq(line.chars()), "{line}");
            assert!(is_common(line), "{line}");
        }
    }

    #[test]
    fn listed_passwords_are_common_in_any_case_and_with_trimmings() {
        for password in
            ["fkmnthyfnbdf", "IngodWeTrust", "minnesota_hp", "cookiemonster1!", "#basketball99", "justinbieber2024"]
        {
            assert!(is_common(password), "{password}");
        }
        for password in ["cookie monster eats", "basketball-1994-07", "cookiemonster and elmo"] {
            assert!(!is_common(password), "{password}");
        }
    }

    #[test]
    fn what_somebody_made_up_is_not() {
        for password in ["correct horse battery", "Xk2!9fQz71Lm", "canary-9f3e1b7a", "мой кот спит", "tr0ub4dor&3x"]
        {
            assert!(!is_common(password), "{password}");
        }
    }
}
