//! Collects the failures of a loop, so that the first does not hide the others.

/// The number of failures shown; the rest is only counted.
const SHOWN_MAX: usize = 20;

/// Collects failures. Dropping it fails the test with all of them.
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
        // A panic during another panic hides both.
        let is_told = std::thread::panicking();
        assert!(failures == 0 || is_told, "{failures} failures, of which {shown}:\n{text}");
    }
}

/// Like `assert!`, but records the failure and continues.
#[allow(unused_macros)]
macro_rules! check {
    ($failures:expr, $holds:expr, $($what:tt)+) => {
        if !$holds {
            $failures.add(format!($($what)+));
        }
    };
}

/// Like `assert_eq!`, but records the failure and continues.
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
