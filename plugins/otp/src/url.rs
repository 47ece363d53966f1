use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Algorithm, Seed, Shape};

/// What a URL says: `otpauth://totp/Issuer:account?secret=…&issuer=…&algorithm=SHA1&digits=6&period=30`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Otpauth {
    pub issuer: String,
    pub account: String,
    pub seed: Seed,
    pub shape: Shape,
}

/// RFC 3986: unreserved characters stay.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL that an app reads, from a QR code or by hand.
pub fn otpauth(of: &Otpauth) -> String {
    let (issuer, account) = (utf8_percent_encode(&of.issuer, KEPT), utf8_percent_encode(&of.account, KEPT));
    let algorithm = match of.shape.algorithm {
        Algorithm::Sha1 => "SHA1",
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha512 => "SHA512",
    };
    let (secret, Shape { digits, period, .. }) = (of.seed.text(), of.shape);
    let query = format!("secret={secret}&issuer={issuer}&algorithm={algorithm}&digits={digits}&period={period}");
    format!("otpauth://totp/{issuer}:{account}?{query}")
}

impl Otpauth {
    /// What is wrong with it is told in words of ours. Members that nobody needs (`image`) are left alone.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = strip(text, "otpauth://").ok_or("must begin with otpauth://")?;
        let rest = strip(rest, "totp/").ok_or("must be of codes by time: otpauth://totp/")?;
        let (label, query) = rest.split_once('?').ok_or("must have a query with the secret")?;
        let decoded = percent_decode_str(label).decode_utf8().map_err(|_| "must be UTF-8")?;
        let (issuer, account) = match decoded.split_once(':') {
            Some((issuer, account)) => (issuer.trim().to_owned(), account.trim().to_owned()),
            None => (String::new(), decoded.trim().to_owned()),
        };
        let (mut issuer, mut seed, mut shape) = (issuer, None, Shape::default());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "secret" if seed.is_some() => return Err("must have one secret"),
                "secret" => seed = Some(Seed::parse(&value).ok_or("must have a secret of base32, 10 to 128 bytes")?),
                "issuer" => issuer = value.into_owned(),
                "algorithm" => {
                    shape.algorithm = match value.to_ascii_uppercase().as_str() {
                        "SHA1" => Algorithm::Sha1,
                        "SHA256" => Algorithm::Sha256,
                        "SHA512" => Algorithm::Sha512,
                        _ => return Err("must be of algorithm SHA1, SHA256 or SHA512"),
                    }
                }
                "digits" => shape.digits = value.parse().map_err(|_| "must have 6, 7 or 8 digits")?,
                "period" => shape.period = value.parse().map_err(|_| "must have a period from 15 to 300 seconds")?,
                _ => {}
            }
        }
        match shape.problem() {
            Some(("digits", _)) => Err("must have 6, 7 or 8 digits"),
            Some(_) => Err("must have a period from 15 to 300 seconds"),
            None => Ok(Self { issuer, account, seed: seed.ok_or("must have a secret")?, shape }),
        }
    }
}

/// Schemes and hosts have no case.
fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let begins = text.get(..prefix.len())?.eq_ignore_ascii_case(prefix);
    begins.then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_it_was_told() {
        let of = Otpauth {
            issuer: "Größe & Co".to_owned(),
            account: "ada@example.com".to_owned(),
            seed: Seed::parse("JBSWY3DPEHPK3PXP").unwrap(),
            shape: Shape { algorithm: Algorithm::Sha256, digits: 8, period: 60 },
        };
        let text = otpauth(&of);
        assert_eq!(
            text,
            "otpauth://totp/Gr%C3%B6%C3%9Fe%20%26%20Co:ada%40example.com?secret=JBSWY3DPEHPK3PXP\
             &issuer=Gr%C3%B6%C3%9Fe%20%26%20Co&algorithm=SHA256&digits=8&period=60"
        );
        assert_eq!(Otpauth::parse(&text), Ok(of));
    }

    #[test]
    fn what_others_give_out_is_read() {
        let read = Otpauth::parse("otpauth://totp/GitHub:ada?secret=jbswy3dpehpk3pxp&issuer=GitHub").unwrap();
        assert_eq!((read.issuer.as_str(), read.account.as_str(), read.shape), ("GitHub", "ada", Shape::default()));
        let read = Otpauth::parse("OTPAUTH://TOTP/ada?secret=JBSWY3DPEHPK3PXP&image=x&algorithm=sha1").unwrap();
        assert_eq!((read.issuer.as_str(), read.account.as_str()), ("", "ada"));
        let read = Otpauth::parse("otpauth://totp/A%3A%20b?secret=JBSWY3DPEHPK3PXP").unwrap();
        assert_eq!((read.issuer.as_str(), read.account.as_str()), ("A", "b"));
    }

    #[test]
    fn what_is_no_such_url_is_refused_and_not_quoted() {
        for text in [
            "",
            "https://example.com",
            "otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP&counter=1",
            "otpauth://totp/a",
            "otpauth://totp/a?issuer=b",
            "otpauth://totp/a?secret=canary!",
            "otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&secret=JBSWY3DPEHPK3PXQ",
            "otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=5",
            "otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=x",
            "otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&period=0",
            "otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&algorithm=MD5",
            "otpauth://totp/%FF?secret=JBSWY3DPEHPK3PXP",
            "otpauth://é",
        ] {
            let why = Otpauth::parse(text).unwrap_err();
            assert!(why.starts_with("must") && !why.contains("canary"), "{text}");
        }
    }
}
