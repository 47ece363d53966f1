use std::collections::BTreeSet;

use super::{Error, Operate, SysPath};
use crate::{
    audit::{Ending, Link, Verified},
    policy::{Permit, Read},
};

impl Operate {
    /// Are these lines as they were written? `from` is where the lines before them ended.
    pub async fn verify(
        &self,
        _permit: &Permit<Read, SysPath>,
        lines: &[String],
        from: Option<Link>,
    ) -> Result<Verified, Error> {
        Ok(self.0.audit.verify(lines, from).await?)
    }

    /// After the last of them: is any missing? `seen` are the chains of all.
    pub async fn verify_end(
        &self,
        _permit: &Permit<Read, SysPath>,
        last: Option<Link>,
        seen: &BTreeSet<String>,
    ) -> Result<Ending, Error> {
        Ok(self.0.audit.verify_end(last.as_ref(), seen).await?)
    }
}
