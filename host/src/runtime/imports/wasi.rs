//! Of WASI, what Rust's standard library asks for without files or sockets, and no more. The
//! implementations are our own (streams and polling come from `wasmtime-wasi`): there is no
//! ambient authority behind them that a mistake could let through.

use std::time::Duration;

use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, OutputStream, Pollable, StreamResult,
    bindings::{
        cli::{
            environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
            terminal_stdout,
        },
        clocks::{monotonic_clock, wall_clock},
        io::{error, poll, streams},
        random::{insecure, insecure_seed, random},
    },
    pipe::ClosedInputStream,
    subscribe,
};

use super::{
    super::{Fault, sandbox::Sandbox},
    crypto::random_bytes,
    log::Printed,
};
use crate::{clock::Clock, ids, limits};

/// Interfaces by name, without their version.
pub(super) const OFFERED: [&str; 18] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

pub(super) fn link(linker: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    error::add_to_linker::<_, Io>(linker, |sandbox| &mut sandbox.table)?;
    poll::add_to_linker::<_, Io>(linker, |sandbox| &mut sandbox.table)?;
    streams::add_to_linker::<_, Io>(linker, |sandbox| &mut sandbox.table)?;
    environment::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    exit::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    stdin::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    stdout::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    stderr::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    terminal_input::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    terminal_output::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    terminal_stdin::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    terminal_stdout::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    terminal_stderr::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    monotonic_clock::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wall_clock::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    random::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    insecure::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    insecure_seed::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)
}

impl environment::Host for Sandbox {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for Sandbox {
    fn exit(&mut self, _status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Fault::Trap("it exits".to_owned()).into())
    }

    fn exit_with_code(&mut self, _status: u8) -> wasmtime::Result<()> {
        Err(Fault::Trap("it exits".to_owned()).into())
    }
}

impl stdin::Host for Sandbox {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        let stream: DynInputStream = Box::new(ClosedInputStream);
        Ok(self.table.push(stream)?)
    }
}

impl stdout::Host for Sandbox {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(Printer(self.log.printed()));
        Ok(self.table.push(stream)?)
    }
}

impl stderr::Host for Sandbox {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        stdout::Host::get_stdout(self)
    }
}

/// What is printed is kept for the log, as much of it as the call may log; the rest is dropped.
struct Printer(Printed);

#[async_trait::async_trait]
impl OutputStream for Printer {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.0.add(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

impl terminal_input::Host for Sandbox {}

impl terminal_input::HostTerminalInput for Sandbox {
    fn drop(&mut self, terminal: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::Host for Sandbox {}

impl terminal_output::HostTerminalOutput for Sandbox {
    fn drop(&mut self, terminal: Resource<terminal_output::TerminalOutput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_stdin::Host for Sandbox {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for Sandbox {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for Sandbox {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

/// A moment that is waited for. The call's deadline ends every wait.
struct Moment(Duration);

#[async_trait::async_trait]
impl Pollable for Moment {
    async fn ready(&mut self) {
        let left = self.0.saturating_sub(Clock::system().monotonic());
        match left.is_zero() {
            // A guest that polls without waiting must still let others run.
            true => tokio::task::yield_now().await,
            false => tokio::time::sleep(left).await,
        }
    }
}

impl monotonic_clock::Host for Sandbox {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(u64::try_from(Clock::system().monotonic().as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let moment = self.table.push(Moment(Duration::from_nanos(when)))?;
        subscribe(&mut self.table, moment)
    }

    fn subscribe_duration(&mut self, span: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let when = Clock::system().monotonic().saturating_add(Duration::from_nanos(span));
        let moment = self.table.push(Moment(when))?;
        subscribe(&mut self.table, moment)
    }
}

impl wall_clock::Host for Sandbox {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let millis = u64::try_from(self.clock.now().millis()).unwrap_or(0);
        let since = Duration::from_millis(millis);
        Ok(wall_clock::Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

fn bounded_random(len: u64) -> wasmtime::Result<Vec<u8>> {
    match usize::try_from(len) {
        Ok(len) if len <= limits::PLUGIN_RANDOM_BYTES => Ok(random_bytes(len)),
        _ => Err(Fault::Limit("random bytes").into()),
    }
}

impl random::Host for Sandbox {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bounded_random(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::from_ne_bytes(ids::random()))
    }
}

impl insecure::Host for Sandbox {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bounded_random(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::from_ne_bytes(ids::random()))
    }
}

impl insecure_seed::Host for Sandbox {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((u64::from_ne_bytes(ids::random()), u64::from_ne_bytes(ids::random())))
    }
}

#[cfg(test)]
pub(super) fn print_for_test(sandbox: &mut Sandbox, bytes: &'static [u8]) {
    let mut printer = Printer(sandbox.log.printed());
    printer.write(bytes::Bytes::from_static(bytes)).unwrap();
}
