//! From when until when a certificate is good: two dates at a fixed place (RFC 5280 section 4.1).
//! A whole parser of X.509 would bring eight crates for them.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// In seconds since 1970; none of what is no certificate.
pub fn of(der: &[u8]) -> Option<(i64, i64)> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (signed, _) = expect(SEQUENCE, certificate)?;
    let rest = expect(VERSION, signed).map_or(signed, |(_, rest)| rest);
    let (_, rest) = expect(INTEGER, rest)?;
    let (_, rest) = expect(SEQUENCE, rest)?;
    let (_issuer, rest) = expect(SEQUENCE, rest)?;
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some((from, until))
}

/// What stands in an element of this kind, and what stands after it.
fn expect(kind: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == kind).then_some((content, rest))
}

fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (len, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, text, rest) = element(der)?;
    let digits = text.strip_suffix(b"Z")?;
    let number = |at: &[u8]| std::str::from_utf8(at).ok()?.parse::<u32>().ok();
    let (year, digits) = match tag {
        UTC_TIME => {
            let (year, digits) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, digits)
        }
        GENERALIZED_TIME => {
            let (year, digits) = digits.split_at_checked(4)?;
            (number(year)?, digits)
        }
        _ => return None,
    };
    let parts: Option<Vec<u32>> = digits.chunks(2).map(number).collect();
    let [month, day, hour, minute, second] = <[u32; 5]>::try_from(parts?).ok()?;
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    let at = humantime::parse_rfc3339(&text).ok()?;
    let seconds = at.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Some((i64::try_from(seconds).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_ways_to_write_a_date_are_read() {
        // As `date -ud … +%s` has them; 4096 is rcgen's own for "does not end".
        assert_eq!(of(&certificate((2026, 11, 23), (2049, 12, 31))), Some((1_795_392_000, 2_524_521_600)));
        assert_eq!(of(&certificate((1999, 1, 2), (4096, 1, 1))), Some((915_235_200, 67_090_118_400)));
    }

    #[test]
    fn what_is_cut_or_changed_is_refused_and_never_a_panic() {
        let whole = certificate((2026, 1, 1), (2027, 1, 1));
        for len in 0..whole.len() {
            assert_eq!(of(&whole[..len]), None, "{len}");
        }
        for at in 0..whole.len().min(200) {
            for byte in [0, 0x7F, 0x80, 0x84, 0x85, 0xFF] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = of(&changed);
            }
        }
        assert_eq!(of(b"no certificate"), None);
    }
}
