//! Attacks of many steps in the engine: they show how the image evolves, are stopped with the best so far, and several are
//! compared over one grid.

use crate::engine::{LIMIT, engine, frame_at, wait};
use epsiloscope::attack::Attack;
use epsiloscope::data::Sample;
use epsiloscope::engine::{ComparedWhat, Engine, Event, Export, JobState, Request, RunEnd};
use epsiloscope::study::report::ComparisonTable;
use std::sync::Arc;
use std::time::Instant;

const FOUR: f64 = 4.0 / 255.0;

#[test]
fn an_attack_shows_its_steps_and_is_stopped_with_the_best_so_far() {
    let engine = engine();
    frame_at(&engine, FOUR);
    let pgd = Attack::parse("pgd", &["steps=100000", "step=0.2"]).unwrap();
    engine.send(Request::Attack(pgd));
    begin(&engine, 100_000);
    let (mut pictures, mut losses) = (Vec::new(), Vec::new());
    let end = wait(&engine, |event| match event {
        Event::Frame(frame) if frame.method == pgd => {
            let step = frame.unfinished.unwrap();
            assert!(!step.stopped && step.of == 100_000);
            assert!(frame.adversarial_measure.distortion.linf <= FOUR + 1e-6);
            pictures.push((step.done, frame.adversarial.id));
            None
        }
        Event::Attacking(news) => {
            losses.extend(news.judged.iter().map(|j| j.loss));
            assert_eq!(losses.len(), news.done, "every step is told once");
            if news.end.is_none() && pictures.len() >= 3 {
                engine.send(Request::StopAttack);
            }
            news.end.map(|end| (end, news.done, news.telling_secs / news.secs))
        }
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert_eq!(end.0, RunEnd::Stopped);
    println!("{} pictures in {} steps, which took {:.1} % of the time", pictures.len(), end.1, end.2 * 100.0);
    assert!(end.2 < 0.1, "showing the image takes {} of the time", end.2);
    assert!(pictures.is_sorted() && losses.last() > losses.first(), "{losses:?}");
    let frame = wait(&engine, |event| match event {
        Event::Frame(frame) if frame.unfinished.is_some_and(|u| u.stopped) => Some(frame),
        _ => None,
    });
    let stopped = frame.unfinished.unwrap();
    assert_eq!((stopped.done, stopped.of), (end.1, 100_000));
    assert!(frame.adversarial_measure.overlap.dice < frame.clean.overlap.dice);
    // ε elsewhere begins anew; back again, what was stopped is still there, and no curve has begun that would take days.
    engine.send(Request::Epsilon(0.0));
    frame_at(&engine, 0.0);
    engine.send(Request::Epsilon(FOUR));
    let again = frame_at(&engine, FOUR);
    assert_eq!(again.unfinished, Some(stopped));
    assert_eq!(again.adversarial_measure, frame.adversarial_measure);
    // It runs again when that is wished, and a new ε gives it up.
    engine.send(Request::RunAttack);
    wait(&engine, |event| matches!(event, Event::Attacking(news) if news.end.is_none()).then_some(()));
    engine.send(Request::Epsilon(0.0));
    let end = wait(&engine, |event| match event {
        Event::Attacking(news) => news.end,
        _ => None,
    });
    assert_eq!(end, RunEnd::GivenUp);
    frame_at(&engine, 0.0);
}

/// Waits until an attack of `of` steps waits to be begun, and begins it.
fn begin(engine: &Engine, of: usize) {
    let news = wait(engine, |event| match event {
        Event::Attacking(news) => Some(news),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert_eq!((news.done, news.of, news.end), (0, of, Some(RunEnd::Stopped)));
    assert!(news.secs > 0.0 && news.judged.is_empty(), "what it would take is said: {news:?}");
    let frame = wait(engine, |event| match event {
        Event::Frame(frame) if frame.method == news.method => Some(frame),
        _ => None,
    });
    assert_eq!(frame.unfinished.map(|u| (u.done, u.of, u.stopped)), Some((0, of, true)));
    assert_eq!(frame.adversarial_measure.distortion.linf, 0.0, "nothing is changed yet");
    engine.send(Request::RunAttack);
}

#[test]
fn an_attack_of_thousands_of_gradients_begins_when_a_person_says_so() {
    let engine = engine();
    frame_at(&engine, FOUR);
    let attack = Attack::named("carlini-wagner").unwrap();
    engine.send(Request::Attack(attack));
    begin(&engine, 9000);
    let news = wait(&engine, |event| match event {
        Event::Attacking(news) if news.done > 0 => Some(news),
        _ => None,
    });
    assert!(news.method == attack && news.end.is_none());
    engine.send(Request::StopAttack);
    wait(&engine, |event| matches!(event, Event::Attacking(news) if news.end == Some(RunEnd::Stopped)).then_some(()));
    // Another image asks again.
    engine.send(Request::Generate(Sample::ChestXray));
    begin(&engine, 9000);
    engine.send(Request::StopAttack);
}

#[test]
fn an_attack_that_finds_its_own_epsilon_goes_on_while_epsilon_moves() {
    let engine = engine();
    frame_at(&engine, FOUR);
    let attack = Attack::parse("stadv", &["steps=12"]).unwrap();
    engine.send(Request::Attack(attack));
    let mut moved = false;
    let frame = wait(&engine, |event| match event {
        Event::Attacking(news) => {
            assert_ne!(news.end, Some(RunEnd::GivenUp));
            if !moved {
                moved = true;
                engine.send(Request::Epsilon(0.25));
                engine.send(Request::PauseJob(false));
            }
            None
        }
        Event::Frame(frame) if frame.method == attack && frame.unfinished.is_none() && frame.epsilon == 0.25 => {
            Some(frame)
        }
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert!(moved && frame.displacement.is_some_and(|px| px > 0.0), "{:?}", frame.displacement);
}

#[test]
fn several_attacks_are_measured_over_one_grid_and_written() {
    let engine = engine();
    frame_at(&engine, FOUR);
    let attacks: Vec<Attack> = [("fgsm", ""), ("bim", "steps=2"), ("deepfool", "steps=2"), ("random-sign", "seed=3")]
        .iter()
        .map(|(name, set)| Attack::parse(name, &set.split(' ').filter(|s| !s.is_empty()).collect::<Vec<_>>()).unwrap())
        .collect();
    let epsilons = vec![1.0 / 255.0, 4.0 / 255.0];
    engine.send(Request::Compare { attacks: attacks.clone(), epsilons: epsilons.clone() });
    let start = wait(&engine, |event| match event {
        Event::ComparisonStarted(start) => Some(start),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert_eq!(start.attacks, attacks);
    let mut points = vec![Vec::new(); attacks.len()];
    let mut control = Vec::new();
    wait(&engine, |event| match event {
        Event::Compared(news) => {
            assert_eq!(news.number, start.number);
            match news.what {
                ComparedWhat::Point(point, random) => {
                    points[news.attack].push(point);
                    control.extend(random.filter(|_| news.attack == 0));
                }
                ComparedWhat::Refused(why) => panic!("{why}"),
            }
            None
        }
        Event::Job(job) if job.name == "comparison" && job.state == JobState::Finished => Some(()),
        _ => None,
    });
    assert_eq!(
        points.iter().map(Vec::len).collect::<Vec<_>>(),
        [2, 2, 2, 2],
        "DeepFool: the clean image, and what it found"
    );
    let dice = |attack: usize, at: usize| points[attack][at].measure.overlap.dice;
    assert!(dice(0, 1) < dice(3, 1) && dice(1, 1) < dice(3, 1), "attacks do more harm than the control");
    assert_eq!(control.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("several.csv");
    let table = ComparisonTable {
        image: "a \"cell\", cut".to_owned(),
        model: start.model.clone(),
        device: start.device.clone(),
        clean: start.clean,
        attacks: attacks.iter().copied().zip(points).collect(),
        control,
    };
    engine.send(Request::Export(Export::ComparisonCsv(path.clone(), Arc::new(table))));
    wait(&engine, |event| matches!(event, Event::Exported(_)).then_some(()));
    let rows = std::fs::read_to_string(&path).unwrap();
    assert_eq!(rows.lines().count(), 1 + 1 + 8 + 2, "{rows}");
    assert!(rows.contains("bim,steps=2 step=0,\"a \"\"cell\"\", cut\","), "{rows}");
}

#[test]
fn a_comparison_is_cancelled_and_what_cannot_be_is_refused() {
    let engine = engine();
    frame_at(&engine, FOUR);
    engine.send(Request::Compare { attacks: Vec::new(), epsilons: vec![0.1] });
    let why = wait(&engine, |event| match event {
        Event::Failed(problem) => Some(problem.why),
        _ => None,
    });
    assert!(why.contains("one attack"), "{why}");
    let slow = Attack::parse("pgd", &["steps=100000"]).unwrap();
    engine.send(Request::Compare { attacks: vec![Attack::FGSM, slow], epsilons: vec![FOUR] });
    let start = Instant::now();
    wait(&engine, |event| match event {
        Event::Compared(_) => {
            engine.send(Request::CancelJob);
            None
        }
        Event::Job(job) if job.name.starts_with("comparison") && job.state == JobState::Cancelled => Some(()),
        _ => None,
    });
    assert!(start.elapsed() < LIMIT);
}
