//! A slice of a large file is there before all of it is read, and is the slice that it says.

use super::engine::{LIMIT, engine, wait};
use epsiloscope::attack::Attack;
use epsiloscope::data::Dataset;
use epsiloscope::data::{First, FirstWish, Made, Pixels, Stack, open_showing_first, write_npy, write_stack};
use epsiloscope::engine::{Engine, Event, Request, StimuliWish, StudyImagesWish};
use epsiloscope::view::Presentation;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const SHAPE: [usize; 4] = [40, 1, 480, 512];

/// A volume of 20 MB of which no two slices are alike.
fn volume() -> Stack {
    let plane = SHAPE[2] * SHAPE[3];
    let value = |i: usize| (i % 509 + i / plane * 11) as i16 - 300;
    let stack = Stack::new(SHAPE, Pixels::I16((0..SHAPE[0] * plane).map(value).collect())).unwrap();
    // Whatever can be written knows a spacing.
    let about = epsiloscope::data::About { spacing: Some([2.0, 0.5, 0.5]), ..(*stack.about).clone() };
    Stack { about: about.into(), ..stack }
}

fn written(folder: &Path, name: &str, made: &Made) -> PathBuf {
    let path = folder.join(name);
    write_stack(&path, &volume(), made).unwrap();
    path
}

/// What is shown of a file before it is read, and what is read.
fn opened(path: &Path, slice: Option<usize>) -> (Vec<First>, Stack) {
    let mut shown = Vec::new();
    let (cancel, mut shares) = (AtomicBool::new(false), 0);
    let wish = FirstWish { slice, show: &mut |first| shown.push(first) };
    let stack = open_showing_first(path, &cancel, &mut |_| shares += 1, Some(wish)).unwrap();
    assert!(shares > 0);
    (shown, stack)
}

#[test]
fn formats_that_allow_it_show_a_slice_first() {
    let folder = tempfile::tempdir().unwrap();
    let compressed = Made { compressed: true, ..Made::default() };
    for (name, made) in [
        ("a.nii", &Made::default()),
        ("a.tif", &Made::default()),
        ("b.tif", &compressed),
        ("a.npy", &Made::default()),
        ("series/", &Made::default()),
    ] {
        let path = written(folder.path(), name, made);
        for (wish, slice) in [(None, 20), (Some(3), 3), (Some(39), 39)] {
            let (shown, stack) = opened(&path, wish);
            let [first] = &shown[..] else { panic!("{name}: {} slices were shown first", shown.len()) };
            assert_eq!((first.slice, first.slices, first.stack.slices), (slice, stack.slices, 1), "{name}");
            assert_eq!(first.stack.path.as_deref(), Some(&*path));
            assert_eq!(
                (first.stack.about.spacing, first.stack.about.axes()),
                (stack.about.spacing, stack.about.axes())
            );
            assert_eq!(first.stack.slice(0).unwrap().pixels, stack.slice(slice).unwrap().pixels, "{name}, {slice}");
        }
        assert!(opened(&path, Some(40)).0.is_empty(), "{name}: there is no such slice");
    }
    let gzip = written(folder.path(), "a.nii.gz", &Made::default());
    assert!(opened(&gzip, None).0.is_empty(), "there is no slice to look at in what is compressed as a whole");
    let small = folder.path().join("small.npy");
    write_npy(&small, &[40, 8, 8], &[0.5; 40 * 64]).unwrap();
    assert!(opened(&small, None).0.is_empty());
}

#[test]
fn what_is_cut_short_shows_no_slice_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "a.nii", &Made::default());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() * 3 / 4]).unwrap();
    let mut shown = Vec::new();
    let mut wish = |slice| {
        let wish = FirstWish { slice: Some(slice), show: &mut |first: First| shown.push(first.slice) };
        open_showing_first(&path, &AtomicBool::new(false), &mut |_| {}, Some(wish)).unwrap_err();
    };
    wish(39);
    wish(10);
    assert_eq!(shown, [10]);
}

/// The sample with its frame.
fn with_sample() -> Engine {
    let engine = engine();
    wait(&engine, |event| matches!(event, Event::Frame(_)).then_some(()));
    engine
}

#[test]
fn a_slice_is_shown_with_nothing_of_another_image_until_all_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "a.nii", &Made::default());
    let volume = volume();
    let engine = with_sample();
    engine.send(Request::Open { image: path.clone(), label: None, slice: None });
    let mut part = None;
    let frame = wait(&engine, |event| match event {
        Event::Early(early) if early.part => {
            assert!(part.is_none() && early.clean.is_none());
            assert_eq!((early.case.slice, early.case.slices), (20, 40));
            assert_eq!(early.case.image.pixels, volume.slice(20).unwrap().pixels);
            part = Some(early);
            // These are meant for the volume, not for the sample that the engine still has.
            engine.send(Request::Epsilon(0.02));
            engine.send(Request::Slice(5));
            engine.send(Request::Slice(7));
            None
        }
        Event::Frame(frame) if part.is_some() => Some(frame),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    let part = part.unwrap();
    assert_eq!(frame.case.path.as_ref(), Some(&path), "a frame of the sample in between");
    assert_eq!(part.case.name, frame.case.name);
    assert_eq!((part.case.shape, part.case.axis), (frame.case.shape, frame.case.axis));
    let last = Instant::now() + LIMIT;
    let mut at = (frame.case.slice, frame.epsilon);
    while at != (7, 0.02) {
        assert!(Instant::now() < last, "{at:?}");
        at = wait(&engine, |event| match event {
            Event::Frame(frame) => Some((frame.case.slice, frame.epsilon)),
            _ => None,
        });
    }
}

#[test]
fn the_image_before_comes_back_where_the_rest_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "a.nii", &Made::default());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() * 3 / 4]).unwrap();
    let engine = with_sample();
    engine.send(Request::Open { image: path, label: None, slice: Some(2) });
    wait(&engine, |event| matches!(event, Event::Early(early) if early.part).then_some(()));
    engine.send(Request::Slice(9));
    let mut back = None;
    wait(&engine, |event| match event {
        Event::Frame(frame) => {
            back = Some(frame);
            None
        }
        Event::Failed(problem) => {
            assert_eq!(problem.what, "Open image");
            Some(())
        }
        _ => None,
    });
    let frame = back.expect("the sample once more");
    assert_eq!((frame.case.path.clone(), frame.case.slice), (None, 0));
    // The engine goes on.
    engine.send(Request::Epsilon(0.03));
    wait(&engine, |event| matches!(event, Event::Frame(frame) if frame.epsilon == 0.03).then_some(()));
}

#[test]
fn reading_that_is_cancelled_brings_the_image_before_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "a.tif", &Made { compressed: true, ..Made::default() });
    let engine = with_sample();
    let cancelled = Arc::new(AtomicBool::new(false));
    engine.send(Request::Open { image: path.clone(), label: None, slice: None });
    wait(&engine, |event| match event {
        Event::Early(early) if early.part => {
            engine.send(Request::CancelOpen);
            cancelled.store(true, Ordering::Relaxed);
            None
        }
        // Unless all was read before the wish arrived.
        Event::Frame(frame) if cancelled.load(Ordering::Relaxed) => {
            println!("{}", if frame.case.path.is_none() { "given up" } else { "read before" });
            Some(())
        }
        _ => None,
    });
}

#[test]
fn a_reader_study_gets_its_answer_although_another_file_is_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "a.nii", &Made::default());
    let sample = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data").join(name);
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    std::fs::copy(sample("membranes-2.png"), images.join("b.png")).unwrap();
    let set = Arc::new(Dataset::find(&images, &AtomicBool::new(false), &|_| {}).unwrap());
    let engine = engine();
    let case = wait(&engine, |event| match event {
        Event::Frame(frame) => Some(frame.case.clone()),
        _ => None,
    });
    let wish = |id, model: &str| {
        Request::Stimuli(Some(StimuliWish {
            id,
            of: (case.clone(), model.to_owned()),
            set: None,
            conditions: vec![(None, Attack::FGSM)],
            epsilons: vec![0.02],
            presentation: Presentation::default(),
        }))
    };
    let model = "membranes-unet";
    engine.send(Request::Open { image: path, label: None, slice: None });
    // Both are asked for while a slice of the volume is shown, and the next file is opened at once.
    let (mut asked, mut read, mut there) = (false, false, false);
    wait(&engine, |event| match event {
        Event::Early(early) if early.part && !asked => {
            asked = true;
            engine.send(Request::StudyImages(StudyImagesWish { id: 1, set: set.clone(), entries: vec![0] }));
            engine.send(Request::Open { image: sample("membranes-3.png"), label: None, slice: None });
            None
        }
        Event::StudyImages(found) => {
            assert_eq!((found.id, found.images.unwrap()[0].shape), (1, [1, 256, 256]));
            read = true;
            there.then_some(())
        }
        Event::Frame(frame) if frame.case.name == "membranes-3" => {
            there = true;
            read.then_some(())
        }
        _ => None,
    });
    assert!(asked, "a slice of the volume was shown first");
    // The study was of the sample: no image of another one is taken for its.
    engine.send(wish(2, model));
    let why = wait(&engine, |event| match event {
        Event::NoStimuli { id: 2, why } => Some(why),
        Event::Stimulus(stimulus) => panic!("ε {} of another image", stimulus.epsilon),
        _ => None,
    });
    assert!(why.contains("another image was opened meanwhile") && why.contains(&case.name), "{why}");
    engine.send(Request::OpenSample);
    wait(&engine, |event| matches!(event, Event::Frame(frame) if frame.case.name == case.name).then_some(()));
    engine.send(wish(3, "another model"));
    wait(&engine, |event| matches!(event, Event::NoStimuli { id: 3, .. }).then_some(()));
    engine.send(wish(4, model));
    let mut made = 0;
    wait(&engine, |event| match event {
        Event::Stimulus(stimulus) => {
            assert!(stimulus.id == 4 && stimulus.image.is_ok());
            made += 1;
            (made == 2).then_some(())
        }
        Event::NoStimuli { why, .. } => panic!("{why}"),
        _ => None,
    });
}

/// How long it takes until a slice is there, and until all is: of each file in the folder that `EPSILOSCOPE_VOLUMES` names.
#[test]
fn measured_on_files_of_a_folder() {
    let Some(folder) = std::env::var_os("EPSILOSCOPE_VOLUMES") else {
        println!("skipped: EPSILOSCOPE_VOLUMES names no folder");
        return;
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let engine = with_sample();
        let start = Instant::now();
        engine.send(Request::Open { image: path.clone(), label: None, slice: None });
        let mut first = None;
        wait(&engine, |event| match event {
            Event::Early(early) if early.case.path.as_ref() == Some(&path) => {
                first.get_or_insert_with(|| (start.elapsed(), early.part));
                (!early.part).then_some(())
            }
            Event::Failed(problem) => panic!("{problem:?}"),
            _ => None,
        });
        let (seconds, part) = first.unwrap();
        println!(
            "{}: a picture after {:.2} s{}, all of it after {:.2} s",
            path.file_name().unwrap().to_string_lossy(),
            seconds.as_secs_f64(),
            if part { ", of one slice" } else { "" },
            start.elapsed().as_secs_f64()
        );
    }
}
