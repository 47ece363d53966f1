//! Room for logins that wait for their next step: so much for each mount, of that so much for each neighbourhood of
//! addresses, and of that so much for each address block.
//!
//! To begin such a login takes nothing that anybody would have to know, so it is this that keeps a crowd from taking all
//! of them. A block that is full is refused, and what it has begun keeps its place there until its own end, unless it
//! succeeds or fails: that is the pace at which a block can begin logins. A full neighbourhood or mount refuses nobody:
//! of those who wait there, the one whose last step is longest ago gives way. Whether somebody has clicked is no
//! reason to stay, since a crowd can click as well; the click only counts as a step.

use serde_json::Value;

use super::{
    Error, Login,
    challenge::{Row, Waiting},
};
use crate::{
    barrier::{Purpose, Stored, View, Writes, layout::Prefix},
    ids::random,
    limits,
    storage::Expect,
    throttle::{self, neighbourhood},
};

/// Where some of the seats are.
struct Seats {
    row: String,
    number: u64,
    /// Whoever comes when they are all taken is refused.
    refuses: bool,
}

impl Login {
    /// Takes a seat in each place that the login counts in, and says which: they are free again when the challenge has
    /// been answered or has expired.
    pub(super) async fn seats(&self, to: &mut Writes, waiting: &Waiting) -> Result<Vec<String>, Error> {
        let mac = self.barrier.mac(Purpose::Token)?;
        let named = |kind: &[u8], text: &str| hex::encode(mac.sign(&[kind, text.as_bytes()]));
        let block = named(b"challenge block", &waiting.block);
        let around = named(b"challenge neighbourhood", &neighbourhood(waiting.address));
        let of =
            |place: String, number, refuses| Seats { row: format!("seat/{}/{place}", waiting.mount), number, refuses };
        let all = [
            of(format!("{BLOCK}/{block}"), limits::CHALLENGES_PER_BLOCK, true),
            of(format!("around/{around}"), limits::CHALLENGES_PER_NEIGHBOURHOOD, false),
            of("all".to_owned(), limits::CHALLENGES_PER_MOUNT, false),
        ];
        take(&self.barrier.view(Prefix::Challenge), to, &all).await
    }
}

async fn take(view: &View, to: &mut Writes, all: &[Seats]) -> Result<Vec<String>, Error> {
    let (mut taken, mut left) = (Vec::new(), Vec::<String>::new());
    for seats in all {
        let below = format!("{}/", seats.row);
        // Whoever has given way in one place has left its seats in the others.
        if let Some(seat) = left.iter().find(|seat| seat.starts_with(&below)) {
            taken.push(seat.clone());
            continue;
        }
        // From somewhere on, so that those who come at once seldom want the same.
        let from = u64::from_be_bytes(random());
        let tried = limits::CHALLENGE_SEATS_TRIED.min(seats.number);
        let keys: Vec<String> = (0..tried)
            .map(|n| format!("{below}{}", from.wrapping_add(n).wrapping_mul(STRIDE) % seats.number))
            .collect();
        let found = view.get_many::<Value>(&keys).await?;
        if let Some((free, _)) = keys.iter().zip(&found).find(|(_, found)| found.is_none()) {
            view.expect(to, free, Expect::Absent);
            taken.push(free.clone());
            continue;
        }
        let full = || Error::Throttle(throttle::Error::TooMany(limits::CHALLENGES_FULL));
        let who: Vec<&str> = found.iter().flatten().filter_map(|seat| seat.value.as_str()).collect();
        let oldest = if seats.refuses { None } else { oldest(view, &who).await? };
        let (key, oldest) = oldest.ok_or_else(full)?;
        left.extend(give_way(view, to, key, &oldest));
        taken.extend(left.iter().find(|seat| seat.starts_with(&below)).cloned());
    }
    Ok(taken)
}

/// Of these challenges the one whose last step is longest ago. Whom a first factor has proven is no part of a crowd.
async fn oldest<'a>(view: &View, keys: &[&'a str]) -> Result<Option<(&'a str, Stored<Row<Waiting>>)>, Error> {
    let found = view.get_many::<Row<Waiting>>(keys).await?;
    let waiting = keys.iter().zip(found).filter_map(|(key, found)| Some((*key, found?)));
    let unproven = waiting.filter(|(_, row)| row.value.waiting.first.is_none());
    Ok(unproven.min_by_key(|(_, row)| row.value.waiting.moved_at))
}

/// All that it has left in the store goes, but for its seat in its block: says which seats are free.
fn give_way(view: &View, to: &mut Writes, key: &str, row: &Stored<Row<Waiting>>) -> Vec<String> {
    // Its seats change with it only: whoever is faster with one of them has changed this as well.
    view.expect_as_read(to, key, Some(row));
    view.delete(to, key);
    let waiting = &row.value.waiting;
    waiting.browser.iter().flat_map(|browser| browser.rows()).for_each(|row| view.delete(to, row));
    let free: Vec<String> = waiting.seats.iter().filter(|seat| !is_in_block(seat)).cloned().collect();
    free.iter().for_each(|seat| view.delete(to, seat));
    free
}

/// The third part of a seat that is taken in an address block: `seat/<mount>/block/<block>/<n>`.
const BLOCK: &str = "block";

fn is_in_block(seat: &str) -> bool {
    seat.split('/').nth(2) == Some(BLOCK)
}

/// Prime, so it meets every seat once.
const STRIDE: u64 = 7919;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        barrier::{self, Barrier},
        clock::{Clock, Timestamp},
        storage::Memory,
    };

    struct Lobby {
        barrier: Barrier,
        view: View,
    }

    impl Lobby {
        fn new() -> Self {
            let (clock, _) = Clock::manual(Timestamp::from_millis(1_000_000));
            let barrier = Barrier::for_test(Arc::new(Memory::default()), clock);
            Self { view: barrier.view(Prefix::Challenge), barrier }
        }

        /// Somebody of this block and neighbourhood begins at this moment.
        async fn begin(&self, key: &str, (block, around): (&str, &str), at: i64) -> Result<(), Error> {
            let seats = |place: String, number, refuses| Seats { row: format!("seat/m/{place}"), number, refuses };
            let all = [
                seats(format!("{BLOCK}/{block}"), 2, true),
                seats(format!("around/{around}"), 4, false),
                seats("all".to_owned(), 6, false),
            ];
            let mut writes = Writes::default();
            let taken = take(&self.view, &mut writes, &all).await?;
            assert_eq!(taken.len(), 3);
            let end = Some(Timestamp::from_millis(9_000_000));
            for seat in &taken {
                self.view.put(&mut writes, seat, &key, end);
            }
            let waiting = json!({
                "mount": crate::ids::MountId::new(), "about": null, "first": null, "epochs": {}, "program": null, "seats": taken,
                "wish": { "scope": null, "session": {} }, "block": block, "until": 9_000_000, "moved_at": at,
            });
            self.view.put(&mut writes, key, &json!({ "waiting": waiting, "state": "" }), end);
            Ok(self.barrier.commit(writes).await?)
        }

        async fn waits(&self, key: &str) -> bool {
            self.view.get_bytes(key).await.unwrap().is_some()
        }
    }

    fn is_full(ended: Result<(), Error>) -> bool {
        matches!(ended, Err(Error::Throttle(throttle::Error::TooMany(_))))
    }

    #[tokio::test]
    async fn a_crowd_crowds_out_itself() {
        let lobby = Lobby::new();
        lobby.begin("honest", ("home", "town"), 1_000).await.unwrap();
        // Each block has two, and its neighbourhood four: the fifth takes the place of the first.
        for at in 0..20 {
            lobby.begin(&format!("bot{at}"), (&format!("b{}", at / 2), "botnet"), 2_000 + at).await.unwrap();
        }
        assert!(lobby.waits("honest").await);
        for at in 0..20 {
            assert_eq!(lobby.waits(&format!("bot{at}")).await, at >= 16, "{at}");
        }
        // Whoever has given way has not got another turn for it.
        assert!(is_full(lobby.begin("again", ("b0", "botnet"), 3_000).await));
    }

    #[tokio::test]
    async fn crowds_from_everywhere_refuse_nobody_and_the_newest_stay() {
        let lobby = Lobby::new();
        for at in 0..40 {
            lobby.begin(&format!("bot{at}"), (&format!("b{at}"), &format!("n{at}")), at).await.unwrap();
        }
        lobby.begin("honest", ("home", "town"), 40).await.unwrap();
        for at in 41..46 {
            lobby.begin(&format!("bot{at}"), (&format!("b{at}"), &format!("n{at}")), at).await.unwrap();
        }
        assert!(lobby.waits("honest").await && !lobby.waits("bot39").await);
    }

    #[tokio::test]
    async fn two_who_want_the_same_seat_do_not_both_get_it() {
        let lobby = Lobby::new();
        for at in 0..6 {
            lobby.begin(&format!("bot{at}"), (&format!("b{at}"), &format!("n{at}")), at).await.unwrap();
        }
        let (one, two) = tokio::join!(lobby.begin("one", ("x", "x"), 7), lobby.begin("two", ("y", "y"), 8));
        let holds = |ended: &Result<(), Error>| matches!(ended, Ok(()) | Err(Error::Store(barrier::Error::Conflict)));
        assert!(holds(&one) && holds(&two) && (one.is_ok() || two.is_ok()), "{one:?} {two:?}");
        let mut seats = 0;
        for at in 0..6 {
            seats += usize::from(lobby.view.get_bytes(&format!("seat/m/all/{at}")).await.unwrap().is_some());
        }
        assert_eq!(seats, 6);
    }
}
