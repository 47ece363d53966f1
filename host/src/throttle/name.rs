//! What counts as one name, and as one address block.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::{address::AddressBlock, limits};

/// A name as the count has it. Coarser than any directory: what some plugin or database may take
/// for the same name (by case, width, blanks, accents, invisible characters) is the same here. Two
/// names that fall together are slowed together, which harms less than a name with two counts.
pub fn canonical(name: &str) -> String {
    let seen = |c: &char| !c.is_whitespace() && !c.is_control() && !is_combining_mark(*c) && !is_invisible(*c);
    // Upper case first: a long s and a dotless i are an s and an i only there.
    let upper = name.nfkd().filter(seen).take(limits::THROTTLE_NAME_CHARS).flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).nfkd().filter(seen).collect()
}

/// What has no width, or only says how its neighbours are to be shown.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A block of addresses as counts and challenges have it: by its first one, without a length.
pub fn block(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| AddressBlock::of(address).first().to_string())
}

/// What one party may well have many blocks of: an IPv4 /24, an IPv6 /48.
pub fn neighbourhood(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "none".to_owned(),
        Some(IpAddr::V4(address)) => Ipv4Addr::from_bits(address.to_bits() >> 8 << 8).to_string(),
        Some(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_taken_for_one_name_is_one_name() {
        let same = [
            "ada",
            "ADA",
            "Ada",
            " ada",
            "ada ",
            "a da",
            "ada\0",
            "ada\u{200b}",
            "\u{feff}ada",
            "a\u{301}da",
            "ádà",
            "\u{ff41}\u{ff44}\u{ff41}",
            "a\u{ad}d\u{2060}a",
            "ada\t\n",
            "\u{a0}ada\u{3000}",
            "\u{24d0}da",
            "ªda",
            "ada\u{e0041}",
            "\u{1d41a}da",
        ];
        for name in same {
            assert_eq!(canonical(name), "ada", "{name:?}");
        }
        for (one, other) in [("ſam", "SAM"), ("Kim", "\u{212a}im"), ("ıda", "IDA"), ("İda", "ida"), ("weiß", "WEISS")]
        {
            assert_eq!(canonical(one), canonical(other));
        }
        assert_ne!(canonical("ada"), canonical("adb"));
        assert_eq!(canonical(&canonical("Ǆ\u{345} İßſ")), canonical("Ǆ\u{345} İßſ"), "once is enough");
    }

    #[test]
    fn filling_a_name_with_what_is_not_seen_makes_no_other_name() {
        assert_eq!(canonical(&format!("{}ada", "\u{200b}".repeat(100_000))), "ada");
        assert!(canonical(&"\u{fdfa}".repeat(100_000)).len() < 100_000, "and no name takes much");
    }

    #[test]
    fn a_block_is_one_ipv4_address_or_64_bits_of_ipv6() {
        let of = |text: &str| block(Some(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(block(None), of("::"));
        // What is stored goes by the very text.
        let texts = ["::ffff:192.0.2.1", "2001:db8:0:1:ffff::2", "::1"].map(of);
        assert_eq!(
            (block(None).as_str(), texts.each_ref().map(String::as_str)),
            ("none", ["192.0.2.1", "2001:db8:0:1::", "::"])
        );
        let around = |text: &str| neighbourhood(Some(text.parse().unwrap()));
        assert_eq!(around("192.0.2.1"), around("::ffff:192.0.2.200"));
        assert_ne!(around("192.0.2.1"), around("192.0.3.1"));
        assert_eq!(around("2001:db8:0:1::1"), around("2001:db8:0:ffff::2"));
        assert_ne!(around("2001:db8:0:1::1"), around("2001:db8:1:1::1"));
    }
}
