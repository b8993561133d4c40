//! Failures of a loop, collected, so that the first does not hide the others.

/// As many are shown; the rest is counted.
const SHOWN_MAX: usize = 20;

/// Collects failures, and fails the test with all of them when it is dropped.
#[derive(Default)]
pub struct Failures(Vec<String>);

impl Failures {
    pub fn new() -> Failures {
        Failures::default()
    }

    pub fn add(&mut self, failure: String) {
        self.0.push(failure);
    }
}

impl Drop for Failures {
    fn drop(&mut self) {
        let (failures, shown) = (self.0.len(), self.0.len().min(SHOWN_MAX));
        let text = self.0[..shown].join("\n");
        // A panic inside of another one would hide both.
        let is_told = std::thread::panicking();
        assert!(failures == 0 || is_told, "{failures} failures, of which {shown}:\n{text}");
    }
}

/// `assert!` that adds to failures and goes on.
#[allow(unused_macros)]
macro_rules! check {
    ($failures:expr, $holds:expr, $($what:tt)+) => {
        if !$holds {
            $failures.add(format!($($what)+));
        }
    };
}

/// `assert_eq!` that adds to failures and goes on.
#[allow(unused_macros)]
macro_rules! check_eq {
    ($failures:expr, $found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if found != expected {
                    let what = format!($($what)+);
                    let differs = format!("\n  found    {found:?}\n  expected {expected:?}");
                    $failures.add(what + &differs);
                }
            }
        }
    };
}

#[allow(unused_imports)]
pub(crate) use {check, check_eq};
