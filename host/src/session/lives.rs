//! What can happen to sessions, at random, for the model.

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Login {
        user: usize,
        uses: Option<u32>,
    },
    Child {
        of: usize,
        uses: Option<u32>,
    },
    /// With any access token that the family ever had.
    Use {
        family: usize,
        token: usize,
    },
    Drain {
        family: usize,
        times: u32,
    },
    Renew {
        family: usize,
        token: usize,
    },
    End {
        family: usize,
    },
    EndByToken {
        family: usize,
        token: usize,
    },
    EndOthers {
        family: usize,
    },
    Raise {
        what: usize,
    },
    Wait {
        millis: u64,
    },
    Keep {
        family: usize,
    },
    PutBack {
        kept: usize,
    },
    Swap {
        one: usize,
        two: usize,
        field: usize,
    },
    /// The store loses a family that it had acknowledged.
    Forget {
        family: usize,
    },
    /// A snapshot of the store, or what a replica has.
    Snapshot,
    /// A restart from the last snapshot, or a replica that takes over: whatever came after it is lost,
    /// and whatever went is back.
    Restart,
    /// Somebody sets the clock.
    Jump {
        millis: i64,
    },
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let uses = prop_oneof![3 => Just(None), 1 => Just(Some(1)), 1 => Just(Some(3)), 1 => Just(Some(70))];
    let which = 0..64_usize;
    let step = prop_oneof![
        4 => (0..2_usize, uses.clone()).prop_map(|(user, uses)| Step::Login { user, uses }),
        1 => (which.clone(), uses).prop_map(|(of, uses)| Step::Child { of, uses }),
        8 => (which.clone(), which.clone()).prop_map(|(family, token)| Step::Use { family, token }),
        2 => (which.clone(), 1..40_u32).prop_map(|(family, times)| Step::Drain { family, times }),
        8 => (which.clone(), which.clone()).prop_map(|(family, token)| Step::Renew { family, token }),
        1 => which.clone().prop_map(|family| Step::End { family }),
        1 => (which.clone(), which.clone()).prop_map(|(family, token)| Step::EndByToken { family, token }),
        1 => which.clone().prop_map(|family| Step::EndOthers { family }),
        1 => (0..5_usize).prop_map(|what| Step::Raise { what }),
        3 => prop::sample::select(WAITS).prop_map(|millis| Step::Wait { millis }),
        2 => which.clone().prop_map(|family| Step::Keep { family }),
        2 => which.clone().prop_map(|kept| Step::PutBack { kept }),
        1 => (which.clone(), which.clone(), 0..8_usize).prop_map(|(one, two, field)| Step::Swap { one, two, field }),
        1 => which.prop_map(|family| Step::Forget { family }),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restart),
        1 => prop::sample::select(JUMPS).prop_map(|millis| Step::Jump { millis }),
    ];
    prop::collection::vec(step, 1..50)
}

const WAITS: &[u64] = &[1, 900, 1_100, 30_000, 59_999, 60_000, 300_000, 600_000, 3_000_000];
const JUMPS: &[i64] = &[-700_000, -30_000, -1, 1, 59_000, 3_600_000];
