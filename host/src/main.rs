use std::process::ExitCode;

/// Gives memory back: after forty logins at once the system's allocator held 470 MB of Argon2 blocks for ever, this one 21.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the loader of ELF calls before anything else; elsewhere a closed output goes unseen.
#[cfg(target_os = "linux")]
#[used]
#[expect(unsafe_code, reason = "nothing that is called later can tell whether standard output was closed")]
#[unsafe(link_section = ".init_array")]
static FIRST: extern "C" fn() = coffer::cli::process::look_at_output;

fn main() -> ExitCode {
    coffer::cli::main()
}
