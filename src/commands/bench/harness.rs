//! The harness of every benchmark, here and in `benches/`: candidates take turns, round by round,
//! so that a slow moment of the host affects all of them. The first round is a warm-up.

use super::record::{Figure, Run, Sample};
use crate::error::Error;

/// The part of the processes that one candidate may leave unmeasured and another measures.
const LACKING_MAX: f64 = 0.05;
/// Each survey lists anew, and processes start and end meanwhile. Two counts may differ by this
/// number plus this part of the larger one.
const CHANCE: (f64, f64) = (8.0, 0.25);

/// One thing to measure: the run that records it, and one measurement, which checks its answer.
pub type Candidate<'a> = (Run, Box<dyn FnMut() -> Result<Sample, Error> + 'a>);

/// Measures all candidates in turn. `before` runs untimed before each measurement, with the number
/// of the round; round 0 is the warm-up, which is measured and discarded.
///
/// # Errors
/// A measurement or `before` failed, or the candidates did not do the same work.
pub fn interleave(
    mut candidates: Vec<Candidate<'_>>,
    rounds: usize,
    mut before: impl FnMut(usize, &Run) -> Result<(), Error>,
) -> Result<Vec<Run>, Error> {
    let mut samples = vec![Vec::with_capacity(rounds); candidates.len()];
    for round in 0..=rounds {
        let mut work = Vec::with_capacity(candidates.len());
        for (run, measure) in &mut candidates {
            before(round, run)?;
            work.push((run.name.as_str(), measure()?));
        }
        check_same_work(&work)?;
        let kept = work.into_iter().zip(&mut samples).filter(|_| round > 0);
        kept.for_each(|((_, sample), samples)| samples.push(sample));
    }
    Ok(candidates.into_iter().zip(samples).map(|((run, _), samples)| run.with(&samples)).collect())
}

/// Compares the numbers of processes that the candidates measured. A candidate without such a
/// figure is left out.
///
/// # Errors
/// A candidate measured too few processes.
pub fn check_same_work(round: &[(&str, Sample)]) -> Result<(), Error> {
    let counts = || {
        round.iter().filter_map(|(name, sample)| {
            let measured = *sample.get(&Figure::Measured)? as f64;
            let unknown = sample.get(&Figure::Unknown).copied().unwrap_or(0) as f64;
            Some((name, measured, measured / (measured + unknown)))
        })
    };
    let most = counts().map(|(_, measured, _)| measured).fold(0.0, f64::max);
    let best = counts().map(|(.., part)| part).fold(0.0, f64::max);
    for (name, measured, part) in counts() {
        let lacking = most - measured > CHANCE.0 + CHANCE.1 * most;
        if most == 0.0 || lacking || best - part > LACKING_MAX {
            return Err(Error::Bench(format!(
                "not the same work: {name} measured {measured} processes, another run {most}; run \
                 it again when fewer processes start and end"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two candidates, by the processes that they measured and those that they did not.
    fn check(round: &[(u64, u64)]) -> Result<(), Error> {
        let sample = |&(measured, unknown): &(u64, u64)| {
            Sample::from([(Figure::Measured, measured), (Figure::Unknown, unknown)])
        };
        let work: Vec<_> = round.iter().map(|counts| ("engine", sample(counts))).collect();
        check_same_work(&work)
    }

    #[test]
    fn rounds_that_lack_processes_are_refused() {
        for round in [[(100, 0), (96, 4)], [(100, 9), (70, 7)]] {
            assert!(check(&round).is_ok(), "{round:?}");
        }
        for round in [
            &[(100, 0), (94, 6)][..],
            &[(94, 6), (100, 0)],
            &[(100, 0), (66, 0)],
            &[(0, 0)],
            &[(0, 9)],
        ] {
            assert!(check(round).is_err(), "{round:?}");
        }
        assert!(check_same_work(&[("floor", Sample::new())]).is_ok(), "it counts no processes");
    }

    #[test]
    fn candidates_take_turns_and_the_first_round_is_discarded() {
        let order = std::cell::RefCell::new(Vec::new());
        let candidate = |name: &'static str| -> Candidate<'_> {
            let mut time = 100;
            let measure = move || {
                time -= 10;
                Ok(Sample::from([(Figure::WallNs, time)]))
            };
            (Run::new(name), Box::new(measure))
        };
        let candidates = vec![candidate("a"), candidate("b")];
        let before = |round, run: &Run| {
            order.borrow_mut().push((round, run.name.clone()));
            Ok(())
        };
        let runs = interleave(candidates, 3, before).expect("nothing fails");
        let names: Vec<String> =
            order.into_inner().into_iter().map(|(round, name)| format!("{round}{name}")).collect();
        assert_eq!(names.join(" "), "0a 0b 1a 1b 2a 2b 3a 3b");
        for run in runs {
            let spread = &run.figures[&Figure::WallNs];
            assert_eq!((spread.min, spread.median, spread.max), (60, 70, 80));
            assert_eq!(spread.all, [80, 70, 60]);
        }
    }
}
