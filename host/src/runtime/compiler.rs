use super::Error;

/// Threads that compile, and do so when nobody else wants the processors: what somebody uploads may take all of them for
/// a long time.
pub(super) struct Compiler(rayon::ThreadPool);

/// A tenth of what a thread gets that serves requests.
const NICE: i32 = 10;

impl Compiler {
    pub(super) fn start() -> Result<Self, Error> {
        let pool = rayon::ThreadPoolBuilder::new().thread_name(|at| format!("plugin-compiler-{at}"));
        let pool = pool.start_handler(|_| {
            // On Linux this is said of one thread.
            if let Err(cause) = rustix::process::setpriority_process(None, NICE) {
                tracing::warn!(%cause, "plugins are compiled with the same priority as all else");
            }
        });
        pool.build().map(Self).map_err(|cause| Error::Engine(cause.to_string()))
    }

    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}
