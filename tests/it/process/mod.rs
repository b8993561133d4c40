//! One process: name, memory, fate.
//!
//! - `fates`            fates of real processes
//! - `key`              titles that change, and their keys
//! - `owner_and_cgroup` owner and control group on request
//! - `probe`            answer by answer, an error at every step
//! - `script`           the name of a script
//! - `title`            titles, keys and binaries
//! - `torn`             processes that change while their page tables are walked
//! - `walk`             page tables, and the choice between walk and rollup

mod fates;
mod key;
mod owner_and_cgroup;
mod probe;
mod script;
mod title;
mod torn;
mod walk;
