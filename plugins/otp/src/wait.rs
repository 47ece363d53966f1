/// Wrong codes in a row before each next one has to wait, and how long: twice as long each time, up to 16 minutes.
const TRIES: u32 = 5;
const WAIT_MILLIS: u64 = 30_000;
const DOUBLINGS: u32 = 5;

/// Milliseconds until another code is looked at, of which so many were wrong, the last one at that moment. 0: at once.
pub fn wait(wrong: u32, last_millis: u64, now_millis: u64) -> u64 {
    match wrong.checked_sub(TRIES) {
        None => 0,
        Some(over) => {
            let wait = WAIT_MILLIS << over.min(DOUBLINGS);
            last_millis.saturating_add(wait).saturating_sub(now_millis)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_code_after_the_fifth_doubles_the_wait() {
        for (wrong, seconds) in [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (10, 960), (11, 960), (u32::MAX, 960)] {
            assert_eq!(wait(wrong, 1000, 1000), seconds * 1000, "{wrong}");
            assert_eq!(wait(wrong, 1000, 1000 + seconds * 1000), 0, "{wrong}");
        }
    }
}
