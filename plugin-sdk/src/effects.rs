//! Deeds outside that must not be lost when the call, the node or the commit fails.

use crate::{Result, host};

/// Says what will be done, before it is done; durable before it answers. If the call commits, the
/// intent is dropped in the same batch; if not, the host calls [`Leases::revoke`](crate::Leases::revoke) with
/// `undo` until that succeeds. Such a call is not run again. A plugin that exports no `leases` may not
/// intend, nor may `check`, `revoke`, or a call that came by GET.
pub fn intend(undo: &[u8]) -> Result<()> {
    host::current().intend(undo)
}
