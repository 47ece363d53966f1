//! Numbers in JSON as they are written: whether one comes back with the value that was sent.
//!
//! JSON sets no bounds to a number, and what reads it does: beyond 64 bits an integer is rounded, and a fraction
//! beyond some 16 digits. A store that hands back another number than it was given has lost it, so such a number
//! is refused where it comes in. `1.10`, `1e5` and `0.1` come back as `1.1`, `100000.0` and `0.1`: the same.

/// So many bytes hold at most 15 digits, which a double keeps, whatever they are.
const ALWAYS_KEPT_BYTES: usize = 15;

/// The first of the numbers in a JSON text that would come back changed, counted from 0 in the order in which
/// they stand. What is no JSON is somebody else's to refuse.
pub fn first_inexact(json: &[u8]) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = after_text(json, at + 1),
            b'-' | b'0'..=b'9' => {
                let rest = &json[at..];
                let end = rest.iter().position(|byte| !is_of_number(*byte)).unwrap_or(rest.len());
                if !str::from_utf8(&rest[..end]).is_ok_and(is_exact) {
                    return Some(count);
                }
                count += 1;
                at += end;
            }
            _ => at += 1,
        }
    }
    None
}

/// Does a number that is written so come back with the same value?
pub fn is_exact(numeral: &str) -> bool {
    let has_exponent = || numeral.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    if numeral.len() <= ALWAYS_KEPT_BYTES && !has_exponent() {
        return true;
    }
    if numeral.parse::<u64>().is_ok() || numeral.parse::<i64>().is_ok() {
        return true;
    }
    // As the server, and every plugin of ours, will read and write it, more than once.
    let read = |text: &str| serde_json::from_str::<f64>(text).ok();
    let Some(value) = read(numeral) else { return false };
    let Ok(written) = serde_json::to_string(&value) else { return false };
    read(&written) == Some(value) && Decimal::read(numeral) == Decimal::read(&written)
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

fn after_text(json: &[u8], mut at: usize) -> usize {
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Digits without a zero at either end, and the power of ten that they are multiplied with.
#[derive(PartialEq, Eq, Debug)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn read(numeral: &str) -> Option<Self> {
        let (mantissa, exponent) = numeral.split_once(['e', 'E']).unwrap_or((numeral, "0"));
        let unsigned = mantissa.strip_prefix('-');
        let (whole, fraction) =
            unsigned.unwrap_or(mantissa).split_once('.').unwrap_or((unsigned.unwrap_or(mantissa), ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - digits.len()).ok()?;
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
        Some(Self { negative: unsigned.is_some(), digits: digits.to_owned(), exponent })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_an_equal_value_is_kept() {
        let kept = [
            "0",
            "-0",
            "1",
            "-1",
            "0.1",
            "1.10",
            "1e5",
            "1E+5",
            "1e-7",
            "1.5e-7",
            "1e22",
            "0e400",
            "0.000",
            "18446744073709551615",
            "-9223372036854775808",
            "100000000000000000000",
            "123456789.000000000000000000",
            "0.50000000000000000000000000000000000",
            "1e300",
            "-2.5e-3",
            "9007199254740993",
            "10e-1",
        ];
        for numeral in kept {
            assert!(is_exact(numeral), "{numeral}");
        }
    }

    #[test]
    fn what_would_be_rounded_is_not() {
        let changed = [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0.1000000000000000055511151231257827",
            "3.14159265358979323846",
            "1e400",
            "-1e400",
            "1e-400",
            "1e999999999999999999999",
            "9007199254740993.5",
            "1.00000000000000000001",
        ];
        for numeral in changed {
            assert!(!is_exact(numeral), "{numeral}");
        }
    }

    #[test]
    fn numbers_are_counted_outside_of_texts() {
        let cases = [
            (r#"{"a": 1, "b": [2, 18446744073709551616]}"#, Some(2)),
            (r#"{"18446744073709551616": "18446744073709551616", "\"1e400": 1}"#, None),
            (r#"{"a": "\\", "b": 1e400}"#, Some(0)),
            (r#"{"a": "x"#, None),
            (r#"[1e400,2]"#, Some(0)),
            ("", None),
        ];
        for (json, found) in cases {
            assert_eq!(first_inexact(json.as_bytes()), found, "{json}");
        }
    }

    /// A number as anybody may write one.
    fn numerals() -> impl Strategy<Value = String> {
        let short = ("-?", "0|[1-9][0-9]{0,19}", "(\\.[0-9]{1,24})?", "([eE][+-]?[0-9]{1,3})?");
        prop_oneof![
            short.prop_map(|(sign, whole, fraction, exponent)| format!("{sign}{whole}{fraction}{exponent}")),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<u64>().prop_map(|number| number.to_string()),
            any::<f64>()
                .prop_filter("JSON has it", |number| number.is_finite())
                .prop_map(|number| format!("{number:e}")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Read and written three times over, as a secret is on its way through the server and its engine.
        #[test]
        fn what_is_taken_comes_back_with_its_value(numeral in numerals()) {
            if is_exact(&numeral) {
                let mut text = numeral.clone();
                for _ in 0..3 {
                    text = serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string();
                }
                prop_assert_eq!(Decimal::read(&text), Decimal::read(&numeral), "{} from {}", text, numeral);
            }
        }

        /// Nobody is told to send a text for what everybody's numbers hold.
        #[test]
        fn what_fits_is_taken(whole in any::<i64>(), cents in 0_u64..100, amount in 0_u64..10_000_000_000_000) {
            prop_assert!(is_exact(&whole.to_string()));
            let amount = format!("{amount}.{cents:02}");
            prop_assert!(is_exact(&amount));
        }
    }
}
