//! Time comes from the host.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::host;

/// The host's time of day.
pub fn now() -> Timestamp {
    Timestamp(host::current().now_ms().min(LAST))
}

/// Milliseconds since the Unix epoch. Told and stored as RFC 3339 in UTC: `2026-01-02T03:04:05.678Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(u64);

/// The last moment with a year of four digits.
const LAST: u64 = 253_402_300_799_999;
const DAY: u64 = 86_400_000;

impl Timestamp {
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn millis(self) -> u64 {
        self.0
    }

    /// So much later, or the last moment there is.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        let millis = self.0.saturating_add(span.0.saturating_mul(1000));
        Self(if millis > LAST { LAST } else { millis })
    }

    /// The twenty-four characters of `Display`, and no other form.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse::<u64>().ok()
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let time = number(11, 13)? * 3_600_000 + number(14, 16)? * 60_000 + number(17, 19)? * 1000 + number(20, 23)?;
        let days = days_before(year.checked_sub(1970)?, month, day)?;
        // Whatever is not as `Display` writes it, the thirtieth of February too, comes out otherwise.
        let stamp = Self(days * DAY + time);
        (stamp.to_string() == text).then_some(stamp)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_length(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_before(years: u64, month: u64, day: u64) -> Option<u64> {
    let year = 1970 + years;
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let months: u64 = (1..month).map(|month| month_length(year, month)).sum();
    Some(years * 365 + leaps(year - 1) - leaps(1969) + months + day - 1)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, millis) = (self.0.min(LAST) / DAY, self.0.min(LAST) % DAY);
        let mut year = 1970;
        while days >= 365 + u64::from(is_leap(year)) {
            days -= 365 + u64::from(is_leap(year));
            year += 1;
        }
        let mut month = 1;
        while days >= month_length(year, month) {
            days -= month_length(year, month);
            month += 1;
        }
        let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
        let (second, milli) = (millis / 1000 % 60, millis % 1000);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", days + 1)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in UTC with milliseconds, as in \"2026-01-02T03:04:05.678Z\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).ok_or_else(|| E::invalid_type(de::Unexpected::Other("text"), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A duration of whole seconds, as callers write it: a number, or `"90s"`, `"15m"`, `"24h"`, `"7d"`.
/// At least a second and at most 36,500 days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span(u64);

impl Span {
    const MOST: u64 = 36_500 * 86_400;

    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    pub const fn as_secs(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl de::Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of seconds, or a text as \"90s\", \"15m\", \"24h\" or \"7d\"")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
        let other = de::Unexpected::Other("duration");
        match seconds {
            0 => Err(E::invalid_value(other, &"at least 1 second")),
            1..=Span::MOST => Ok(Span(seconds)),
            _ => Err(E::invalid_value(other, &"at most 36500 days")),
        }
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
        self.visit_u64(u64::try_from(seconds).unwrap_or(0))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        let wrong = || E::invalid_type(de::Unexpected::Other("text"), &self);
        let unit = match text.bytes().last().ok_or_else(wrong)? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        // What has more digits than a number can hold is too large, not malformed.
        self.visit_u64(digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_and_read_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_millis(millis)));
        }
        for millis in (0..LAST).step_by(86_399_999_777) {
            let stamp = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&stamp.to_string()), Some(stamp));
        }
    }

    #[test]
    fn no_other_form_of_a_moment_is_taken() {
        for text in [
            "",
            "2026-01-02T03:04:05Z",
            "2026-02-30T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-01-02T24:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-01-02 03:04:05.678Z",
            "2026-01-02T03:04:05.678+",
            "+026-01-02T03:04:05.678Z",
            "2026-01-02T03:04:05.678ZZ",
            "ä026-01-02T03:04:05.678Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_seconds_or_a_number_with_a_unit() {
        let read = |text: &str| crate::from_json::<Span>(text.as_bytes()).map(Span::as_secs);
        for (text, seconds) in
            [("1", 1), ("90", 90), (r#""90s""#, 90), (r#""15m""#, 900), (r#""24h""#, 86_400), (r#""7d""#, 604_800)]
        {
            assert_eq!(read(text).unwrap(), seconds);
        }
        for (text, code) in [
            ("0", "out_of_range"),
            ("-1", "out_of_range"),
            (r#""0s""#, "out_of_range"),
            (r#""36501d""#, "out_of_range"),
            (r#""99999999999999999999s""#, "out_of_range"),
            ("1.5", "wrong_type"),
            ("true", "wrong_type"),
            (r#""""#, "wrong_type"),
            (r#""s""#, "wrong_type"),
            (r#""5""#, "wrong_type"),
            (r#""5w""#, "wrong_type"),
            (r#""+5s""#, "wrong_type"),
            (r#""5 s""#, "wrong_type"),
            (r#""5ä""#, "wrong_type"),
        ] {
            assert_eq!(read(text).unwrap_err().problems[0].code, code, "{text}");
        }
    }
}
