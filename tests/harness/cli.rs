//! The command line of one person: a home of its own, and every output looked at.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{SOON, TestServer};

/// Who types.
pub struct Cli {
    home: PathBuf,
    env: Vec<(String, String)>,
}

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    what: String,
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl TestServer {
    /// Somebody at a machine where nobody has logged in yet.
    pub fn cli(&self, name: &str) -> Cli {
        let home = self.dir().join("homes").join(name);
        std::fs::create_dir_all(&home).expect("the test's folder is writable");
        Cli { home, env: Vec::new() }
    }

    /// Logged in as the admin of this dev server.
    pub async fn admin_cli(&self, name: &str) -> Cli {
        let cli = self.cli(name);
        let file = self.ready_file().to_str().expect("UTF-8");
        cli.run(&["login", "--ready-file", file]).await.done();
        self.keep_tokens(&cli);
        cli
    }

    /// Logged in as a user.
    pub async fn user_cli(&self, name: &str) -> Cli {
        let user = self.login(name).await;
        let cli = self.cli(name);
        let authority = self.authority().to_str().expect("UTF-8");
        let url = self.url();
        let arguments = ["login", "--address", &url, "--ca-cert", authority, "--username", name];
        cli.run_with(&arguments, format!("{}\n", user.password).as_bytes()).await.done();
        self.keep_tokens(&cli);
        cli
    }

    /// The tokens of that home are looked for at the end of the story.
    pub fn keep_tokens(&self, cli: &Cli) {
        for token in cli.tokens() {
            self.keep_secret(&token);
        }
    }
}

impl Cli {
    pub fn with_env(&self, name: &str, value: &str) -> Self {
        let mut env = self.env.clone();
        env.push((name.to_owned(), value.to_owned()));
        Self { home: self.home.clone(), env }
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where the session is kept, if there is one.
    pub fn session_file(&self) -> Option<PathBuf> {
        let folder = std::fs::read_dir(self.home.join(".local/state/coffer")).ok()?;
        folder.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|of| of == "json"))
    }

    pub fn session(&self) -> Value {
        let file = self.session_file().expect("somebody has logged in");
        serde_json::from_slice(&std::fs::read(file).expect("it is ours")).expect("it is JSON")
    }

    pub fn tokens(&self) -> Vec<String> {
        let Some(_) = self.session_file() else { return Vec::new() };
        let session = &self.session()["session"];
        ["access_token", "refresh_token"].iter().filter_map(|name| Some(session[*name].as_str()?.to_owned())).collect()
    }

    /// The access token seems to end by now, so that the next command renews it.
    pub fn age(&self) {
        let mut saved = self.session();
        saved["session"]["access_until"] = 0.into();
        let file = self.session_file().expect("somebody has logged in");
        std::fs::write(file, saved.to_string()).expect("it is ours");
    }

    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_coffer"), arguments)
    }

    /// Another program, in the same place.
    pub fn command_of<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.home).env("HOME", &self.home).env_remove("XDG_STATE_HOME");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_")) {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub async fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        self.run_with(arguments, b"").await
    }

    pub async fn run_with<A: AsRef<OsStr>>(&self, arguments: &[A], input: &[u8]) -> Ran {
        ran(self.command(arguments), input).await
    }

    /// The same as a shell would, with `coffer` in its path.
    pub async fn shell(&self, script: &str) -> Ran {
        let mut command = self.command_of("bash", &["-c", script]);
        let folder = Path::new(env!("CARGO_BIN_EXE_coffer")).parent().expect("it is in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", folder.display()));
        ran(command, b"").await
    }
}

/// Gives a program its input and waits for its end, but not for ever.
pub async fn ran(mut command: Command, input: &[u8]) -> Ran {
    let what = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
    let (mut stdin, input) = (child.stdin.take().expect("a pipe"), input.to_vec());
    let output = tokio::task::spawn_blocking(move || {
        let writing = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output();
        // Who has heard enough closes its input.
        let _ = writing.join();
        output
    });
    match tokio::time::timeout(SOON, output).await {
        Ok(output) => {
            let output = output.expect("no panic").expect("it can be waited for");
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            Ran { what, code: output.status.code(), out: output.stdout, err }
        }
        Err(_) => {
            let _ = kill_process(pid, Signal::KILL);
            panic!("does not end by itself within {SOON:?}: {what}");
        }
    }
}

impl Ran {
    /// It did what it was asked: what it says.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}: {}", self.what, self.err);
        String::from_utf8(self.out).expect("text")
    }

    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.done()).expect("JSON")
    }

    /// It did not, with this code: why.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}: {}", self.what, self.err);
        assert!(!self.err.contains("panicked"), "{}: {}", self.what, self.err);
        self.err
    }
}
