//! One process: name, memory, fate.
//!
//! - `fates`            of real processes
//! - `owner_and_cgroup` told to who asks
//! - `probe`            answer by answer, an error at every step
//! - `script`           the name of a script

mod fates;
mod owner_and_cgroup;
mod probe;
mod script;
