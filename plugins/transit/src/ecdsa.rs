//! A signature of ECDSA over P-256 in its two forms: DER, as X.509 has it (RFC 3279 section 2.2.3), and the two
//! numbers side by side, as JSON Web Signatures have it (RFC 7518 section 3.4).

/// Of one number.
const NUMBER: usize = 32;
pub const BYTES: usize = 2 * NUMBER;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// The numbers of a DER signature. None: it is not one.
pub fn to_numbers(der: &[u8]) -> Option<Vec<u8>> {
    let (all, rest) = value(SEQUENCE, der)?;
    let (r, both) = value(INTEGER, all)?;
    let (s, end) = value(INTEGER, both)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut numbers = vec![0; BYTES];
    for (number, place) in [r, s].into_iter().zip(numbers.chunks_mut(NUMBER)) {
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        place[NUMBER.checked_sub(number.len())?..].copy_from_slice(number);
    }
    Some(numbers)
}

/// None: that is not two numbers of P-256.
pub fn to_der(numbers: &[u8]) -> Option<Vec<u8>> {
    if numbers.len() != BYTES {
        return None;
    }
    let mut both = Vec::with_capacity(BYTES + 6);
    for number in numbers.chunks(NUMBER) {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(NUMBER - 1);
        // One whose first bit is set would be negative.
        let sign: &[u8] = if number[start] < 0x80 { &[] } else { &[0] };
        both.extend([INTEGER, u8::try_from(sign.len() + NUMBER - start).ok()?]);
        both.extend([sign, &number[start..]].concat());
    }
    let mut der = vec![SEQUENCE, u8::try_from(both.len()).ok()?];
    der.extend(both);
    Some(der)
}

/// What stands first, and what comes after it. Nothing here is longer than one byte says.
fn value(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (told, rest) = bytes.split_first()?;
    let (len, rest) = rest.split_first()?;
    (*told == tag && *len < 0x80).then(|| rest.split_at_checked(usize::from(*len))).flatten()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER_PERMISSIVE as HEX;
    use proptest::prelude::*;

    use super::*;

    /// RFC 6979 section A.2.5, SHA-256 of "sample".
    #[test]
    fn a_known_signature_has_both_forms() {
        let numbers = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
            F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";
        let der = "3046022100EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
            022100F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";
        let (numbers, der) = (HEX.decode(numbers.as_bytes()).unwrap(), HEX.decode(der.as_bytes()).unwrap());
        assert_eq!(to_numbers(&der).unwrap(), numbers);
        assert_eq!(to_der(&numbers).unwrap(), der);
    }

    #[test]
    fn small_numbers_are_short_in_der_and_long_beside_each_other() {
        let mut numbers = [0; BYTES];
        (numbers[31], numbers[62], numbers[63]) = (1, 0x80, 2);
        let der = [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2];
        assert_eq!(to_der(&numbers).unwrap(), der);
        assert_eq!(to_numbers(&der).unwrap(), numbers);
        assert_eq!(to_der(&[0; BYTES]).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }

    proptest! {
        #[test]
        fn what_is_one_form_is_the_other(numbers in proptest::collection::vec(any::<u8>(), BYTES)) {
            prop_assert_eq!(to_numbers(&to_der(&numbers).unwrap()).unwrap(), numbers);
        }

        #[test]
        fn junk_is_no_signature_and_breaks_nothing(junk: Vec<u8>) {
            prop_assert!(to_der(&junk).is_none() || junk.len() == BYTES);
            let _ = to_numbers(&junk);
            let _ = to_numbers(&[&[0x30, u8::try_from(junk.len()).unwrap_or(1)], junk.as_slice()].concat());
        }
    }
}
