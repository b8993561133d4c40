//! Ordinary system calls on the same world, one process after another: the fallback for the
//! processes that a broken ring leaves behind, without its threads.

use std::sync::Arc;

use psm_uring::process::{Plan, Probe, ProcFile, ReadNext, Want};
use psm_uring::sys::ring::ReadFrom;
use psm_uring::units::{Errno, Pid};

use super::super::tables::Frames;
use super::fault::Op;
use super::life::lives;
use super::log::Word;
use super::seat::seat_of;
use super::world::{OpenFile, Place, World};
use super::{Micros, NEVER};

/// Buffer size of one read.
const ROOM: usize = 512;

/// A wait that does not end.
struct Stuck;

/// One process in progress.
struct Carrier<'a> {
    world: &'a mut World,
    probe: &'a mut Probe,
    plan: &'static Plan,
}

/// Carries a process to its fate. False: it is stuck, and the carrier gives it up.
pub fn carry(world: &mut World, probe: &mut Probe, pid: Pid) -> bool {
    let plan = world.plan;
    probe.restart(pid, &Arc::new(plan.clone()));
    let mut carrier = Carrier { world, probe, plan };
    while let Some(want) = carrier.probe.want() {
        if carrier.satisfy(want).is_err() {
            return false;
        }
    }
    true
}

impl Carrier<'_> {
    fn satisfy(&mut self, want: Want) -> Result<(), Stuck> {
        match want {
            Want::One(file) => self.open_and_read(file),
            Want::Pair { name, memory } => {
                let Some(open) = self.open(memory)? else { return Ok(()) };
                self.open_and_read(name)?;
                if self.probe.awaits_memory() { self.read(open) } else { Ok(()) }
            }
        }
    }

    fn place(&self, file: ProcFile) -> Place {
        let path = self.probe.path(file);
        let mut parts = path.as_bytes().split(|byte| *byte == b'/').filter_map(Pid::parse);
        let pid = parts.next().expect("a path begins with a process id");
        Place { seat: seat_of(pid), task: parts.next(), file }
    }

    fn wait(&mut self, place: Place, op: Op) -> Result<(), Stuck> {
        let until: Micros = self.world.held_until(place, op);
        if until == NEVER {
            return Err(Stuck);
        }
        self.world.now = self.world.now.max(until) + 1;
        Ok(())
    }

    fn feed(&mut self, place: Place, read: Result<(&[u8], Word), Errno>, room: usize) -> ReadNext {
        let answer = read.map(|(_, word)| word);
        self.world.seats[place.seat].log.answered(self.plan, place, answer);
        match read {
            Ok((text, _)) => self.probe.feed(place.file, text, room),
            Err(errno) => {
                self.probe.fail(place.file, errno);
                ReadNext::Done
            }
        }
    }

    fn open_and_read(&mut self, file: ProcFile) -> Result<(), Stuck> {
        let place = self.place(file);
        match file {
            ProcFile::Tasks => {
                let tasks = self.world.tasks(place);
                let read = tasks.as_ref().map(|text| (&text[..], Word::Tasks));
                self.feed(place, read.map_err(|errno| *errno), usize::MAX);
            }
            ProcFile::Exe => {
                self.wait(place, Op::Link)?;
                let exe = self.world.open(place, Op::Link);
                let text = &lives()[self.world.seats[place.seat].life].exe;
                self.feed(place, exe.map(|_| (&text[..], Word::Name)), usize::MAX);
            }
            _ => {
                if let Some(open) = self.open(file)? {
                    self.read(open)?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, file: ProcFile) -> Result<Option<OpenFile>, Stuck> {
        let place = self.place(file);
        self.wait(place, Op::Open)?;
        let open = self.world.open(place, Op::Open);
        if let Err(errno) = open {
            self.feed(place, Err(errno), ROOM);
        }
        Ok(open.ok())
    }

    fn read(&mut self, mut open: OpenFile) -> Result<(), Stuck> {
        let mut progress = self.probe.first_read(open.file);
        while progress != ReadNext::Done {
            self.wait(open.place(), Op::Read)?;
            let (from, room) = match progress {
                ReadNext::Verify => (ReadFrom::Beginning, 1),
                ReadNext::Window(window) => (ReadFrom::At(window), window.len),
                _ => (ReadFrom::Current, ROOM),
            };
            let read = self.world.read(&mut open, from, room);
            progress = self.feed(open.place(), read, room);
            if progress == ReadNext::Count {
                progress = self.probe.count(&mut Frames::default());
            }
        }
        Ok(())
    }
}
