//! Values taken out of a stream, wherever its pieces are cut.

/// What stands for a value.
const MASK: &[u8] = b"***";

/// A shorter value stands somewhere by chance, and all the text would be stars.
pub const SHORTEST: usize = 4;

/// Holds back no more than what may be the beginning of a value.
pub struct Mask {
    /// The longest first, so that a value which begins with another is taken whole.
    values: Vec<Vec<u8>>,
    begins: [bool; 256],
    held: Vec<u8>,
}

impl Mask {
    /// Of a value of many lines each line that is not short goes as well: programs indent them.
    pub fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for value in values.filter(|value| value.len() >= SHORTEST) {
            all.push(value.as_bytes().to_vec());
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= 2 * SHORTEST);
            all.extend(lines.map(|line| line.as_bytes().to_vec()));
        }
        all.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        all.dedup();
        let mut begins = [false; 256];
        all.iter().for_each(|value| begins[usize::from(value[0])] = true);
        Self { values: all, begins, held: Vec::new() }
    }

    /// What of it, and of what was held back, may be shown now.
    pub fn next(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let (shown, at) = self.shown(&held, false);
        self.held = held[at..].to_vec();
        shown
    }

    /// The rest.
    pub fn end(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        self.shown(&held, true).0
    }

    /// And how far it got.
    fn shown(&self, text: &[u8], is_all: bool) -> (Vec<u8>, usize) {
        let (mut shown, mut at) = (Vec::with_capacity(text.len()), 0);
        while at < text.len() {
            let rest = &text[at..];
            if !self.begins[usize::from(rest[0])] {
                shown.push(rest[0]);
                at += 1;
                continue;
            }
            let may_come = |value: &&Vec<u8>| value.len() > rest.len() && value.starts_with(rest);
            if !is_all && self.values.iter().any(|value| may_come(&value)) {
                break;
            }
            match self.values.iter().find(|value| rest.starts_with(value)) {
                Some(value) => {
                    shown.extend_from_slice(MASK);
                    at += value.len();
                }
                None => {
                    shown.push(rest[0]);
                    at += 1;
                }
            }
        }
        (shown, at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(values: &[&str], pieces: &[&[u8]]) -> String {
        let mut mask = Mask::new(values.iter().copied());
        let mut shown: Vec<u8> = pieces.iter().flat_map(|piece| mask.next(piece)).collect();
        shown.extend(mask.end());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn a_value_is_masked_wherever_it_is_cut() {
        assert_eq!(masked(&["secret"], &[b"a secret, a sec", b"ret, a secr"]), "a ***, a ***, a secr");
        assert_eq!(masked(&["aaab"], &[b"aaa", b"aab"]), "aa***");
        assert_eq!(masked(&["pass", "password"], &[b"pass", b"word pass"]), "*** ***");
        assert_eq!(masked(&["abc", ""], &[b"abcabc"]), "abcabc", "too short to be told from a word");
        let key = "-----BEGIN KEY-----\nMIIBVgIBADANBg\n-----END KEY-----\n";
        assert_eq!(masked(&[key], &[b"  MIIBVgIBADANBg\r\n"]), "  ***\r\n");
    }

    #[test]
    fn what_cannot_become_a_value_is_shown_at_once() {
        let mut mask = Mask::new(["swordfish"].into_iter());
        assert_eq!(mask.next(b"Password: "), b"Password: ");
        assert_eq!(mask.next(b"is s"), b"is ");
        assert_eq!(mask.next(b"o"), b"so");
        assert_eq!(mask.end(), b"");
    }

    proptest! {
        #[test]
        fn no_value_comes_through_however_the_stream_is_cut(
            text in "[ab]{0,60}", values in proptest::collection::vec("[ab]{4,8}", 1..4),
            cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let mut mask = Mask::new(values.iter().map(String::as_str));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let (mut shown, mut at) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                shown.extend(mask.next(&text.as_bytes()[at..cut]));
                at = cut;
            }
            shown.extend(mask.end());
            let mut whole = Mask::new(values.iter().map(String::as_str));
            let mut expected = whole.next(text.as_bytes());
            expected.extend(whole.end());
            prop_assert_eq!(&shown, &expected);
            let shown = String::from_utf8(shown).unwrap();
            prop_assert!(!values.iter().any(|value| shown.contains(value.as_str())), "{}", shown);
        }
    }
}
