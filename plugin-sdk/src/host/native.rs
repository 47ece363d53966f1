use std::{cell::RefCell, rc::Rc};

use super::Host;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// The host of the call that this thread is in.
pub(crate) fn current() -> Rc<dyn Host> {
    CURRENT.with_borrow(Clone::clone).expect("outside of a component the host is a coffer_plugin_sdk::testing::Host")
}

/// Runs `call` with this host, and puts back the one before it however the call ends.
pub(crate) fn with<T>(host: Rc<dyn Host>, call: impl FnOnce() -> T) -> T {
    struct Before(Option<Rc<dyn Host>>);
    impl Drop for Before {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _before = Before(CURRENT.replace(Some(host)));
    call()
}
