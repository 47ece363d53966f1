//! A page of documentation, done as it says: its commands in order, in one folder, beside a server of its own.
//!
//! What a page may hold:
//!
//! - `sh`: commands. `sh fails`: the same, and the last of them must fail. A block that begins with `coffer server` is
//!   in a terminal of its own: it goes on while the next ones are run.
//! - `text`, `json`: what the block before says. `…` stands for whatever it is; as a member or at the end of a list, for
//!   more of them. JSON that follows no command must be JSON, and no more.
//! - `toml`: a configuration. `cedar`: a policy. Either is written to the file that its first line names, if it does
//!   (`# coffer.toml`, `// team.cedar`).
//!
//! The only thing that is not as it is written is the port: `127.0.0.1:8200` becomes another.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::services::free_port;
use super::{TestServer, eventually};

const WRITTEN: &str = "127.0.0.1:8200";
/// A page has many commands, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Block {
    Sh { commands: String, fails: bool },
    Text(String),
    Json(String),
    Toml(String),
    Cedar(String),
}

/// Fails on what no reader, and no test, would know what to do with.
pub fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        open = match (open, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => {
                assert!(line.starts_with('`'), "{page}: a block begins its line: {line}");
                Some((kind.to_owned(), String::new()))
            }
            (Some((kind, inside)), Some("")) => {
                blocks.push(block(page, &kind, inside));
                None
            }
            (Some((kind, inside)), _) => Some((kind, inside + line + "\n")),
            (None, None) => None,
        };
    }
    assert!(open.is_none(), "{page}: a block is not closed");
    blocks
}

fn block(page: &str, kind: &str, inside: String) -> Block {
    match kind {
        "sh" => Block::Sh { commands: inside, fails: false },
        "sh fails" => Block::Sh { commands: inside, fails: true },
        "text" => Block::Text(inside),
        "json" => Block::Json(inside),
        "toml" => Block::Toml(inside),
        "cedar" => Block::Cedar(inside),
        other => panic!("{page}: a block of unknown kind: {other:?}"),
    }
}

fn is_server(commands: &str) -> bool {
    commands.starts_with("coffer server")
}

/// Does it all, and compares.
pub async fn done_as_written(page: &str, text: &str) {
    let blocks = blocks(page, text);
    let starts_one = blocks.iter().any(|block| matches!(block, Block::Sh { commands, .. } if is_server(commands)));
    // Either the page starts a server itself, or it stands beside the one of the quick start.
    let (server, own) = match starts_one {
        true => (None, Some(tempfile::Builder::new().prefix("coffer-page-").tempdir().expect("a folder"))),
        false => (Some(TestServer::start().await), None),
    };
    let folder = match (&server, &own) {
        (Some(server), _) => server.dir().join("page"),
        (_, Some(own)) => own.path().join("page"),
        _ => unreachable!("one of them"),
    };
    fs::create_dir_all(folder.join("home")).expect("the test's folder is writable");
    let address = match &server {
        Some(server) => {
            fs::create_dir_all(folder.join("coffer-dev")).expect("the test's folder is writable");
            fs::copy(server.ready_file(), folder.join("coffer-dev/ready.json")).expect("it is ready");
            let trail = folder.join("coffer-dev/audit.log");
            std::os::unix::fs::symlink(server.data_dir().join("audit.log"), trail).expect("the folder is writable");
            server.address()
        }
        None => format!("127.0.0.1:{}", free_port()),
    };
    let mut reader = Reader { folder, address, servers: Vec::new() };
    reader.read(page, &blocks).await;
}

struct Reader {
    folder: PathBuf,
    address: String,
    servers: Vec<Child>,
}

impl Reader {
    async fn read(&mut self, page: &str, blocks: &[Block]) {
        let mut begun = 0;
        let mut segment: Vec<(usize, String, bool)> = Vec::new();
        for (at, block) in blocks.iter().enumerate() {
            match block {
                Block::Sh { commands, .. } if is_server(commands) => {
                    self.type_in(page, &std::mem::take(&mut segment)).await;
                    self.compare(page, &blocks[begun..at], begun);
                    begun = at;
                    self.serve(commands).await;
                }
                Block::Sh { commands, fails } => segment.push((at, self.here(commands), *fails)),
                Block::Toml(text) | Block::Cedar(text) => {
                    let name = text.lines().next().unwrap_or_default().trim_start_matches(['#', '/', ' ']);
                    if name.ends_with(".toml") || name.ends_with(".cedar") {
                        // Saved when the reader comes to it.
                        let here = self.here(text);
                        segment.push((at, format!("cat > {name} <<'END OF FILE'\n{here}END OF FILE\n"), false));
                    }
                }
                Block::Text(_) | Block::Json(_) => {}
            }
        }
        self.type_in(page, &segment).await;
        self.compare(page, &blocks[begun..], begun);
    }

    fn here(&self, text: &str) -> String {
        text.replace(WRITTEN, &self.address)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_")) {
            command.env_remove(name);
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_coffer")).parent().expect("it is in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        command.current_dir(&self.folder).env("PATH", format!("{}:{path}", binary.display()));
        command.env("HOME", self.folder.join("home")).env_remove("XDG_STATE_HOME").env("LC_ALL", "C.UTF-8");
        command
    }

    /// In a terminal of its own, on a port of its own, until the page is over.
    async fn serve(&mut self, commands: &str) {
        use std::os::unix::process::CommandExt as _;
        let mut command = self.command();
        command.env("COFFER_LISTENER__ADDRESS", &self.address).arg("-c").arg(self.here(commands));
        command.process_group(0).stdin(Stdio::null());
        let log = fs::File::create(self.folder.join("../server.log")).expect("the test's folder is writable");
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        self.servers.push(command.spawn().expect("bash is there"));
        let ready = commands.split_once("--ready-file ").and_then(|(_, rest)| rest.split_whitespace().next());
        let ready = ready.map(|file| self.folder.join(file));
        let listens = || async {
            let written = ready.as_ref().is_none_or(|file| file.exists());
            let stream = tokio::net::TcpStream::connect(&self.address).await;
            (written && stream.is_ok()).then_some(())
        };
        eventually("the page's server listens", listens).await;
    }

    /// The same shell as before, with what it knows, going on.
    async fn type_in(&mut self, page: &str, segment: &[(usize, String, bool)]) {
        let mut script = String::from("set -eu -o pipefail\n[ ! -e ../shell ] || . ../shell\n");
        for (at, commands, fails) in segment {
            let tell = format!("> ../{at}.out 2> ../{at}.err");
            let ended = match fails {
                false => format!("{{\n{commands}}} {tell}\n"),
                true => format!("set +e; {{\n{commands}}} {tell}; ended=$?; set -e; [ $ended -ne 0 ]\n"),
            };
            let _ = writeln!(script, "{ended}echo > ../{at}.done");
        }
        // What a terminal would still know after somebody has turned to another one.
        script.push_str("{ declare -f; declare -p | grep -vE '^declare -[a-zA-Z-]*r' | grep -vE '^declare -[^ ]* (BASH|DIRSTACK|FUNCNAME|GROUPS|PIPESTATUS|COLUMNS|LINES|SHLVL|_=)'; echo \"cd '$PWD'\"; } > \"$TERMINAL\"\n");
        let mut command = self.command();
        command.env("TERMINAL", self.folder.join("../shell")).arg("-c").arg(&script);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = tokio::time::timeout(PATIENCE, running).await;
        let output = output.unwrap_or_else(|_| panic!("{page} does not end within {PATIENCE:?}"));
        let output = output.expect("no panic").expect("bash is there");
        let failed = segment.iter().find(|(at, ..)| !self.folder.join(format!("../{at}.done")).exists());
        if let Some((at, commands, _)) = failed {
            let (out, err) = self.said(*at);
            let log = fs::read_to_string(self.folder.join("../server.log")).unwrap_or_default();
            panic!("{page}: this did not end as it should:\n{commands}\n{out}\n{err}\n{log}");
        }
        assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn said(&self, at: usize) -> (String, String) {
        let read = |kind| fs::read(self.folder.join(format!("../{at}.{kind}"))).unwrap_or_default();
        let text = |kind| String::from_utf8_lossy(&read(kind)).replace(&self.address, WRITTEN);
        (text("out"), text("err"))
    }

    fn compare(&self, page: &str, blocks: &[Block], first: usize) {
        let mut before = None;
        for (at, block) in blocks.iter().enumerate() {
            match block {
                Block::Text(expected) => {
                    let at = before.unwrap_or_else(|| panic!("{page}: which command says this?\n{expected}"));
                    let (out, err) = self.said(at);
                    let whole = [out.clone(), format!("{out}{err}"), format!("{err}{out}")];
                    // A value alone ends its line at a terminal only.
                    let glued = |text: &str| trimmed(text).replace('\n', "");
                    let same = whole.iter().any(|said| matches(&glued(expected), &glued(said)));
                    assert!(same, "{page}: expected\n{expected}\nsaid\n{out}{err}");
                }
                Block::Json(expected) => {
                    let expected = stream(page, expected);
                    let Some(at) = before else { continue };
                    let (out, err) = self.said(at);
                    let said = stream(page, &out);
                    let same = expected.len() == said.len()
                        && expected.iter().zip(&said).all(|(expected, said)| alike(expected, said));
                    assert!(same, "{page}: expected\n{expected:#?}\nsaid\n{out}{err}");
                }
                _ => {}
            }
            before = matches!(block, Block::Sh { .. }).then_some(first + at);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for mut server in self.servers.drain(..) {
            if let Some(pid) = Pid::from_raw(server.id().cast_signed()) {
                let _ = kill_process_group(pid, Signal::TERM);
            }
            let _ = server.wait();
        }
    }
}

fn trimmed(text: &str) -> String {
    text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn stream(page: &str, text: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(text).into_iter();
    values.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{page}: {error} in\n{text}"))
}

/// `…` is anything.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    false
}

pub fn alike(expected: &Value, said: &Value) -> bool {
    match (expected, said) {
        (Value::String(pattern), _) if pattern == "…" => true,
        (Value::String(pattern), Value::String(text)) => matches(pattern, text),
        (Value::Object(expected), Value::Object(said)) => {
            let open = expected.contains_key("…");
            let known = expected.iter().filter(|(name, _)| *name != "…");
            let count = known.clone().count();
            known.into_iter().all(|(name, value)| said.get(name).is_some_and(|said| alike(value, said)))
                && (open || count == said.len())
        }
        (Value::Array(expected), Value::Array(said)) => {
            let open = expected.last().is_some_and(|last| last == "…");
            let count = expected.len() - usize::from(open);
            (said.len() == count || open && said.len() >= count)
                && expected.iter().take(count).zip(said).all(|(expected, said)| alike(expected, said))
        }
        _ => expected == said,
    }
}
