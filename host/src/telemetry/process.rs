//! What every exporter tells of its process, from Linux.

use std::fs;

use crate::metrics::Text;

/// Clock ticks in a second, in `/proc`: part of the kernel's interface (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Nothing where there are no such files, or they say something else.
pub(super) fn write(text: &mut Text) {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
    if let Some(seconds) = read("stat").and_then(|stat| cpu(&stat)) {
        text.counter("process_cpu_seconds_total", "Time on processors, of the user and the system.");
        text.sample("process_cpu_seconds_total", &[], seconds);
    }
    let status = read("status").unwrap_or_default();
    let gauges = [
        ("process_resident_memory_bytes", "Memory that stands in RAM.", "VmRSS:", 1024),
        ("process_virtual_memory_bytes", "Address space.", "VmSize:", 1024),
        ("process_threads", "Threads.", "Threads:", 1),
    ];
    for (name, help, field, unit) in gauges {
        if let Some(value) = number(&status, field) {
            text.gauge(name, help);
            text.sample(name, &[], value * unit);
        }
    }
}

/// By proc_pid_stat(5). The name of the program stands in brackets and may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    // The first of these is the third of the file; 14 and 15 are wanted.
    let mut fields = rest.split_whitespace().skip(14 - 3);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some((next()? + next()?) as f64 / TICKS)
}

/// By proc_pid_status(5).
fn number(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_finds_itself_whatever_it_is_called() {
        let mut text = Text::default();
        write(&mut text);
        assert_eq!(text.into_string().lines().filter(|line| !line.starts_with('#')).count(), 4);
        assert_eq!(cpu("7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 13"), Some(3.0));
        assert_eq!((cpu("7 (a) S 1"), cpu("")), (None, None));
        let status = "Name:\tVmRSS:\nVmRSS:\t  12 kB\nThreads:\t3\n";
        assert_eq!(
            (number(status, "VmRSS:"), number(status, "Threads:"), number(status, "VmSize:")),
            (Some(12), Some(3), None)
        );
    }
}
