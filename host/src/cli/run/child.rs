//! A program whose output goes through us, and whose signals do.

use std::{
    io::{self, IsTerminal as _, Read, Write},
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::{
    Variables,
    mask::{self, Mask},
};
use crate::cli::{Failure, exit};

/// The outer error: it could not be started.
pub async fn run(mut command: Command, variables: &Variables) -> io::Result<Result<(), Failure>> {
    for (name, _) in variables.iter().filter(|(_, value)| (1..mask::SHORTEST).contains(&value.len())) {
        exit::say(&format!("{name} is too short to be masked"));
    }
    let mask = || Mask::new(variables.values().map(String::as_str));
    let signals = Signals::listen()?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let copies = [
        child.stdout.take().map(|from| copied(from, io::stdout(), mask())),
        child.stderr.take().map(|from| copied(from, io::stderr(), mask())),
    ];
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        let status = child.wait();
        copies.into_iter().flatten().for_each(|copy| drop(copy.join()));
        drop(tell.send(status));
    });
    let status = tokio::select! {
        status = told => status,
        never = signals.pass_on(pid) => match never {},
    };
    let status = status.map_err(|_| io::Error::other("nobody waited for the program"))??;
    Ok(match code(status) {
        0 => Ok(()),
        code => Err(Failure::Quiet(code)),
    })
}

/// As a shell has it: 128 and the number of the signal that ended it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(1)
}

/// Ends when there is no more, or nobody reads what we write: then the program is told by SIGPIPE.
fn copied(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    mut mask: Mask,
) -> thread::JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let mut piece = [0; 8192];
        loop {
            let shown = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => mask.next(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            to.write_all(&shown)?;
            to.flush()?;
        }
        to.write_all(&mask.end())?;
        to.flush()
    })
}

/// What whoever started us may send, meaning the program.
struct Signals(Vec<(tokio::signal::unix::Signal, Option<Signal>)>);

impl Signals {
    /// Asked for before there is a program, so that none is lost.
    fn listen() -> io::Result<Self> {
        // What is typed at a terminal is sent to the program as well as to us: not twice.
        let at_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
        let typed = |means| (!at_terminal).then_some(means);
        let kinds = [
            (SignalKind::terminate(), Some(Signal::TERM)),
            (SignalKind::hangup(), Some(Signal::HUP)),
            (SignalKind::user_defined1(), Some(Signal::USR1)),
            (SignalKind::user_defined2(), Some(Signal::USR2)),
            (SignalKind::interrupt(), typed(Signal::INT)),
            (SignalKind::quit(), typed(Signal::QUIT)),
        ];
        kinds.into_iter().map(|(kind, means)| Ok((signal(kind)?, means))).collect::<io::Result<_>>().map(Self)
    }

    async fn pass_on(mut self, to: Option<Pid>) -> std::convert::Infallible {
        loop {
            let waiting = self.0.iter_mut().map(|(signal, means)| {
                Box::pin(async move {
                    signal.recv().await;
                    *means
                })
            });
            let (means, ..) = futures_util::future::select_all(waiting).await;
            if let (Some(to), Some(means)) = (to, means) {
                let _ = kill_process(to, means);
            }
        }
    }
}
