use std::collections::BTreeSet;

use super::{Error, Operate, SysPath};
use crate::{
    audit::{Ending, Link, Verified},
    policy::{Permit, Read},
};

/// A stretch of a trail that is to be verified.
#[derive(Debug)]
pub struct Stretch {
    pub lines: Vec<String>,
    /// Where the lines before these ended; None at the beginning of a trail.
    pub from: Option<Link>,
    /// Nothing follows: is anything missing at the end? With the chains of all stretches.
    pub ends: Option<BTreeSet<String>>,
}

impl Operate {
    /// Are these lines as they were written, and is none missing?
    pub async fn verify(
        &self,
        _permit: &Permit<Read, SysPath>,
        stretch: Stretch,
    ) -> Result<(Verified, Option<Ending>), Error> {
        let audit = &self.0.audit;
        let mut verified = audit.verify(&stretch.lines, stretch.from.clone()).await?;
        if stretch.lines.is_empty() {
            verified.last = stretch.from;
        }
        let ending = match stretch.ends {
            Some(mut seen) => {
                seen.extend(verified.chains.iter().cloned());
                Some(audit.verify_end(verified.last.as_ref(), &seen).await?)
            }
            None => None,
        };
        Ok((verified, ending))
    }
}
