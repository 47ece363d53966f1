//! What the process does to itself, and what the system tells it.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    panic,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// No core file, no debugger of another process, no `/proc/self/mem` for others; and a panic
/// tells where it was, never what it said, which may quote a secret.
pub fn harden() -> io::Result<()> {
    let found = getrlimit(Resource::Core);
    CORE.get_or_init(|| found.current);
    setrlimit(Resource::Core, Rlimit { current: Some(0), ..found })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string).unwrap_or_default();
        match tracing::dispatcher::has_been_set() {
            true => tracing::error!(place, "panicked"),
            false => drop(writeln!(io::stderr(), "coffer: panicked at {place}")),
        }
    }));
    Ok(())
}

/// Looks whether there is a standard output. To be called before Rust's runtime, which puts `/dev/null` where there is
/// none: what is written would be lost, and nobody the wiser.
pub extern "C" fn look_at_output() {
    NO_OUTPUT.store(rustix::io::fcntl_getfd(io::stdout().as_fd()).is_err(), Ordering::Relaxed);
}

/// Whether somebody started us with standard output closed (`>&-`).
pub fn has_no_output() -> bool {
    NO_OUTPUT.load(Ordering::Relaxed)
}

static NO_OUTPUT: AtomicBool = AtomicBool::new(false);

/// How large a core file could be before.
static CORE: OnceLock<Option<u64>> = OnceLock::new();

/// For a program that takes our place: its core files are its own affair, as everything else is.
pub fn as_it_was_found() -> io::Result<()> {
    match CORE.get() {
        Some(current) => Ok(setrlimit(Resource::Core, Rlimit { current: *current, ..getrlimit(Resource::Core) })?),
        None => Ok(()),
    }
}

/// As many open files as the system allows: each connection is one, and the usual soft limit is
/// far below `limits::CONNECTIONS`.
pub fn allow_open_files() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Resolves at the first SIGTERM or SIGINT. Asked for at once, so that none is lost while the
/// server starts.
pub fn stopped() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
    })
}

/// Resolves at the first signal by which people and shells end a program: to the code that a shell would tell of it.
pub fn stopped_by() -> io::Result<impl Future<Output = u8>> {
    let [mut hangup, mut interrupt, mut terminate] =
        [signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    Ok(async move {
        tokio::select! {
            _ = hangup.recv() => 128 + 1,
            _ = interrupt.recv() => 128 + 2,
            _ = terminate.recv() => 128 + 15,
        }
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core_and_may_open_many_files() {
        let hook = panic::take_hook();
        harden().unwrap();
        allow_open_files().unwrap();
        // The other tests of this process keep their own hook.
        panic::set_hook(hook);
        let core = getrlimit(Resource::Core);
        assert_eq!(core.current, Some(0));
        assert!(matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable)));
        let files = getrlimit(Resource::Nofile);
        assert_eq!(files.current, files.maximum);
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
        as_it_was_found().unwrap();
        assert_eq!(getrlimit(Resource::Core).maximum, core.maximum);
    }
}
