//! One call in a sandbox of its own.

use std::{sync::Arc, time::Duration};

use wasmtime::{Store, UpdateDeadline};

use super::{
    Call, Failure, Fault, Input, Outcome, Plugin, imports::ReadTracker, invoke::Guest, meter::Meter, plugin::Admission,
    sandbox::Sandbox, turns::Turn, types::Bytes,
};
use crate::{barrier::Writes, limits};

impl Plugin {
    pub(super) async fn run<I: Input>(
        &self,
        input: I,
        call: &Call,
        admission: Admission<'_>,
    ) -> Result<Outcome<I::Answer>, Failure> {
        // The timing is told last, when the work has been measured.
        let Admission { instantiable, pass, mut timing, meter } = admission;
        let turn = self.state.turns.turn();
        let mut store = self.store(call, input.secrets(), &meter, &turn);
        store.data_mut().begun = timing.began();
        store.data_mut().may_intend = I::INTENDS && self.exports().leases;
        let _ticking = self.code.runtime.ticker.run();
        let work = async {
            let instance = instantiable.instantiate(&mut store, pass).await?;
            timing.has_instance();
            let indices = &instantiable.indices;
            input.invoke(Guest { indices, instance, store: &mut store, most: call.bounds.answer }).await
        };
        let answer = meter.measure(turn.given_up_by(work)).await;
        let mut sandbox = store.into_data();
        let may_rerun = !sandbox.acted;
        match answer {
            Ok(value) => {
                let mut writes = if I::WRITES { std::mem::take(&mut sandbox.writes) } else { Writes::default() };
                // Nothing will be committed, so nothing would notice.
                if writes.is_empty() && is_torn(&sandbox.storage, &sandbox.keys).await? {
                    return Err(Failure { fault: Fault::Busy, stale: true, may_rerun, trapped: None });
                }
                if I::WRITES {
                    sandbox.storage.expect_reads(&mut writes);
                    sandbox.keys.expect_reads(&mut writes);
                    writes.merge(std::mem::take(&mut sandbox.settled));
                }
                Ok(Outcome { value, writes, may_rerun })
            }
            Err(fault) => {
                let stale = is_stale(&sandbox.storage, &sandbox.keys).await.unwrap_or(false);
                Err(Failure { fault, stale, may_rerun, trapped: sandbox.trapped.take() })
            }
        }
    }

    fn store(&self, call: &Call, secrets: Vec<Bytes>, meter: &Arc<Meter>, turn: &Turn) -> Store<Sandbox> {
        let sandbox = Sandbox::new(call, secrets, self.state.shared.clone(), meter.clone());
        let mut store = Store::new(&self.code.runtime.engine, sandbox);
        store.limiter(|sandbox| &mut sandbox.usage);
        store.set_hostcall_fuel(limits::PLUGIN_HOSTCALL_BYTES);
        store.set_max_component_handles(limits::PLUGIN_HANDLES);
        store.set_epoch_deadline(1);
        let (meter, turn, budget) = (meter.clone(), turn.clone(), call.bounds.cpu);
        store.epoch_deadline_callback(move |_| look(&meter, &turn, budget));
        store
    }
}

/// Is something that was read no longer so?
async fn is_stale(storage: &ReadTracker, keys: &ReadTracker) -> Result<bool, Fault> {
    Ok(storage.is_stale().await? || keys.is_stale().await?)
}

/// Was it read at several moments, and may so be of a state that never was?
async fn is_torn(storage: &ReadTracker, keys: &ReadTracker) -> Result<bool, Fault> {
    Ok(storage.snapshots() + keys.snapshots() > 1 && is_stale(storage, keys).await?)
}

/// At every tick: has the guest had its share? If not, it lets others run and goes on; once it has worked for a while,
/// when it is its turn.
fn look(meter: &Meter, turn: &Turn, budget: Duration) -> wasmtime::Result<UpdateDeadline> {
    match meter.spent() {
        spent if spent > budget => Err(Fault::Limit("cpu").into()),
        spent if spent < limits::PLUGIN_SHORT => Ok(UpdateDeadline::Yield(1)),
        _ => Ok(UpdateDeadline::YieldCustom(1, Box::pin(turn.clone().next()))),
    }
}
