//! What is on the screen in a trial. The observer here knows nothing of the session but the pixels that are drawn: a stage that drew the
//! original twice, the wrong side, another ε or another window would leave it guessing, and is told apart in every trial besides.

use super::looking::{app, wait};
use super::reader_study::{Chance, form, session_file};
use eframe::egui::{Key, Rect, Role, pos2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::engine::Frame;
use epsiloscope::observer::{Block, Kind, Next, Session, Side, Task, Trial, fit};
use epsiloscope::view::{Presentation, Window};
use epsiloscope::workbench::reader::Phase;
use epsiloscope::workbench::{App, Command};

/// Shown black and white: a grey level of the 8-bit image is two of the screen.
const WINDOW: [f32; 2] = [0.2, 0.7];

/// The pictures that a trial may show, in grey levels of the screen, image pixel by image pixel.
struct Pictures {
    original: Vec<f32>,
    signs: Vec<f32>,
    size: [usize; 2],
    presentation: Presentation,
}

impl Pictures {
    /// Of the present frame, from its gradient: FGSM is not asked for its images.
    fn new(frame: &Frame, presentation: Presentation) -> Self {
        let original = frame.original.values().unwrap().to_vec();
        let sign = |g: &f32| if *g == 0.0 { 0.0 } else { g.signum() };
        let signs = frame.gradient.as_ref().unwrap().values().unwrap().iter().map(sign).collect();
        Self { original, signs, size: [frame.original.height, frame.original.width], presentation }
    }

    fn at(&self, epsilon: f64, presentation: Presentation) -> Vec<f32> {
        let altered = |(x, sign): (&f32, &f32)| (x + epsilon as f32 * sign).clamp(0.0, 1.0);
        let image: Vec<f32> = self.original.iter().zip(&self.signs).map(altered).collect();
        presentation.shown(&image).iter().map(|grey| (grey * 255.0).round()).collect()
    }

    /// Mean absolute difference in grey levels of the screen between `canvas` and the picture of `epsilon`.
    fn far(&self, canvas: &Canvas, epsilon: f64) -> f64 {
        mean_difference(&canvas.greys, &self.at(epsilon, self.presentation))
    }
}

pub fn mean_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len() as f64
}

/// What a canvas showed, image pixel by image pixel.
pub struct Canvas {
    pub greys: Vec<f32>,
}

impl Canvas {
    /// Every image pixel must be one even grey square of the screen.
    pub fn read(all: &image::RgbaImage, rect: Rect, [height, width]: [usize; 2]) -> Self {
        let zoom = (rect.width() / width as f32) as u32;
        assert_eq!(
            (rect.width() as u32, rect.height() as u32),
            (width as u32 * zoom, height as u32 * zoom),
            "whole pixels"
        );
        let [left, top] = [rect.min.x as u32, rect.min.y as u32];
        let grey = |i: usize| {
            let (x, y) = (left + (i % width) as u32 * zoom, top + (i / width) as u32 * zoom);
            let square = (0..zoom * zoom).map(|k| all.get_pixel(x + k % zoom, y + k / zoom).0);
            let [first, ..] = all.get_pixel(x, y).0;
            assert!(square.clone().all(|p| p == [first, first, first, 255]), "pixel {i} is no grey square");
            f32::from(first)
        };
        Self { greys: (0..width * height).map(grey).collect() }
    }
}

/// The canvases as the last frame drew them. The harness draws the pointer: it is kept away from them.
pub fn canvases(harness: &mut Harness<'static, App>, places: &[Rect], size: [usize; 2]) -> Vec<Canvas> {
    let pointer = pos2(640.0, 20.0);
    harness.hover_at(pointer);
    harness.step();
    let all = harness.render().expect("the window is drawn");
    assert!(places.iter().all(|rect| !rect.contains(pointer)));
    places.iter().map(|rect| Canvas::read(&all, *rect, size)).collect()
}

pub fn places(harness: &Harness<'static, App>, task: Task) -> Vec<Rect> {
    let names: &[&str] = if task == Task::TwoAlternative { &["Left image", "Right image"] } else { &["Image"] };
    names.iter().map(|name| harness.get_by_role_and_label(Role::Image, name).rect()).collect()
}

/// The whole window, a form for `counts`, and the images being made, under [`WINDOW`].
fn prepared(harness: &mut Harness<'static, App>, task: Task, counts: [usize; 4], shown_ms: Option<u32>) -> Pictures {
    let view = harness.state().state.view.clone();
    harness.state().send(Command::View(Box::new(epsiloscope::workbench::state::View { window: WINDOW, ..view })));
    harness.run_steps(2);
    form(harness, task, counts, shown_ms);
    harness.get_by_role_and_label(Role::Button, "Prepare").click();
    wait(harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    let [lower, upper] = WINDOW;
    let shown = harness.state().reader().unwrap().session().unwrap().header.display.presentation;
    assert_eq!(shown, Presentation { window: Window { lower, upper }, inverted: false, bits: 8 });
    let pictures = Pictures::new(harness.state().state.frame.as_ref().unwrap(), shown);
    // The session keeps its window, whatever the workbench shows meanwhile.
    let view = harness.state().state.view.clone();
    harness.state().send(Command::View(Box::new(epsiloscope::workbench::state::View { window: [0.0, 1.0], ..view })));
    harness.run_steps(2);
    pictures
}

/// What the trial is to show, on the left and on the right, and nothing else.
fn check(pictures: &Pictures, trial: &Trial, seen: &[Canvas], levels: &[f64]) {
    let meant: Vec<f64> = match trial.side {
        Some(Side::Left) => vec![trial.epsilon, 0.0],
        Some(Side::Right) => vec![0.0, trial.epsilon],
        None => vec![trial.epsilon],
    };
    assert_eq!(seen.len(), meant.len());
    for (canvas, epsilon) in seen.iter().zip(meant) {
        let far = pictures.far(canvas, epsilon);
        assert!(far < 0.02, "{trial:?}: {far} grey levels from what it is to show");
        // Nothing else that a trial of this session could show looks like it.
        for other in levels.iter().copied().chain([0.0]).filter(|e| *e != epsilon) {
            let far = pictures.far(canvas, other);
            assert!(far > 0.5, "{trial:?} could be ε = {other} as well: {far}");
        }
        let full = mean_difference(&canvas.greys, &pictures.at(epsilon, Presentation::default()));
        assert!(full > 5.0, "{trial:?} is drawn under the full window");
    }
}

/// The observer of signal detection theory: each picture gives an inner response, (ε/scale)^1.5 of the change that is on the screen, with
/// noise of deviation 1; the larger one is chosen. ψ is Φ(d′/√2), no Weibull function.
struct Detector {
    scale: f64,
}

const POWER: f64 = 1.5;
/// d′ at which Φ(d′/√2) is ¾ (Macmillan & Creelman, Detection Theory, 2005, table A5.2).
const THRESHOLD_D_PRIME: f64 = 0.9539;

impl Detector {
    fn with_threshold(epsilon: f64) -> Self {
        Self { scale: epsilon / THRESHOLD_D_PRIME.powf(1.0 / POWER) }
    }

    /// From pixels alone: what differs from the original that it has learned, as a fraction of the bounds.
    fn key(&self, pictures: &Pictures, seen: &[Canvas], chance: &mut Chance) -> Key {
        let slope = f64::from(pictures.presentation.window.slope());
        let mut response = |canvas: &Canvas| {
            let epsilon = pictures.far(canvas, 0.0) / 255.0 / slope;
            (epsilon / self.scale).powf(POWER) + chance.normal()
        };
        if response(&seen[0]) > response(&seen[1]) { Key::ArrowLeft } else { Key::ArrowRight }
    }
}

#[test]
fn an_observer_that_sees_only_the_pixels_has_its_threshold_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = app(Some(folder.path()));
    let pictures = prepared(&mut harness, Task::TwoAlternative, [80, 3, 1, 50], None);
    let (detector, mut chance) = (Detector::with_threshold(4.0 / 255.0), Chance(17));
    let levels = harness.state().reader().unwrap().session().unwrap().header.plan.levels.clone().unwrap();
    let range = harness.state().reader().unwrap().session().unwrap().header.plan.shown_range();
    // What was on the screen and what was answered, by the pixels alone.
    let (mut asked, mut seen_trials) = (0, Vec::new());
    loop {
        let reader = harness.state().reader().unwrap();
        let next = reader.session().unwrap().next;
        match (next, reader.clock().map(|clock| (clock.phase, clock.trial))) {
            (Next::Done, _) => break,
            (Next::Break { .. }, None) => harness.key_press(Key::Enter),
            (_, None) => {
                std::thread::sleep(std::time::Duration::from_millis(2));
                harness.key_press(Key::Enter);
            }
            (_, Some((Phase::Shown, trial))) => {
                let places = places(&harness, Task::TwoAlternative);
                let seen = canvases(&mut harness, &places, pictures.size);
                check(&pictures, &trial, &seen, &levels);
                asked += 1;
                let key = detector.key(&pictures, &seen, &mut chance);
                let [left, right] = [0, 1].map(|i| pictures.far(&seen[i], 0.0));
                let right_key = if left > right { Key::ArrowLeft } else { Key::ArrowRight };
                let altered = &seen[usize::from(right > left)];
                let nearest = |a: &&f64, b: &&f64| pictures.far(altered, **a).total_cmp(&pictures.far(altered, **b));
                let epsilon = *levels.iter().min_by(nearest).unwrap();
                if trial.kind != Kind::Practice {
                    seen_trials.push((epsilon, key == right_key));
                }
                harness.key_press(key);
            }
            _ => {}
        }
        harness.step();
    }
    assert_eq!(asked, 84, "every trial was looked at");
    harness.run_steps(3);
    let found = harness.state().state.seen.thresholds.clone();
    let [low, high] = found[0].interval.map(|e| e * 255.0);
    println!("threshold {:.2}/255, 95 % {low:.2} to {high:.2}; the observer’s is 4/255", found[0].epsilon * 255.0);
    assert!(low < 4.0 && 4.0 < high, "{low} to {high}");
    // The threshold is that of the pictures that were seen and the keys that were pressed, whatever the session says of either.
    let own = fit(&Block::gather(seen_trials), Task::TwoAlternative, range).unwrap().threshold;
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.03;
    let [own_low, own_high] = own.interval;
    println!("by the pixels {:.2}, {:.2} to {:.2}", own.median * 255.0, own_low * 255.0, own_high * 255.0);
    assert!(near(found[0].epsilon, own.median), "{} and {}", found[0].epsilon * 255.0, own.median * 255.0);
    assert!(near(low / 255.0, own_low) && near(high / 255.0, own_high), "{low} to {high}, {own:?}");
    // An observer that guesses has an interval without an upper end.
    assert!(high < 10.0, "{low} to {high}");
    let (_, answered, _) = Session::read(&session_file(folder.path())).unwrap();
    let sides = |side| answered.iter().filter(|a| a.trial.side == Some(side)).count();
    assert!(sides(Side::Left) > 20 && sides(Side::Right) > 20, "both sides were shown");
}

#[test]
fn before_and_after_the_images_nothing_of_them_is_on_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = app(Some(folder.path()));
    let pictures = prepared(&mut harness, Task::YesNo, [6, 3, 0, 0], Some(100));
    let levels = harness.state().reader().unwrap().session().unwrap().header.plan.levels.clone().unwrap();
    let mut place: Option<Vec<Rect>> = None;
    let (mut shown, mut before) = (Vec::new(), None);
    let mut masks: Vec<image::RgbaImage> = Vec::new();
    while harness.state().reader().unwrap().session().unwrap().next != Next::Done {
        let Some((phase, trial)) = harness.state().reader().unwrap().clock().map(|c| (c.phase, c.trial)) else {
            std::thread::sleep(std::time::Duration::from_millis(2));
            harness.key_press(Key::Enter);
            harness.step();
            continue;
        };
        let new = before != Some((trial.index, phase));
        before = Some((trial.index, phase));
        match (phase, &place) {
            (Phase::Shown, _) if new => {
                let at = places(&harness, Task::YesNo);
                check(&pictures, &trial, &canvases(&mut harness, &at, pictures.size), &levels);
                shown.push(trial.index);
                place = Some(at);
            }
            (Phase::Mask, Some(at)) if new => {
                let all = harness.render().unwrap();
                let [x, y, w, h] = [at[0].min.x, at[0].min.y, at[0].width(), at[0].height()].map(|v| v as u32);
                let mask = image::imageops::crop_imm(&all, x, y, w, h).to_image();
                let values: Vec<f64> = mask.pixels().map(|p| f64::from(p.0[0])).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
                assert!(
                    (mean - 127.5).abs() < 3.0 && (deviation - 73.6).abs() < 3.0,
                    "even noise: {mean} ± {deviation}"
                );
                assert!(masks.iter().all(|earlier| *earlier != mask), "each trial has a mask of its own");
                masks.push(mask);
            }
            (Phase::Fixation | Phase::Question, Some(at)) if new => {
                let all = harness.render().unwrap();
                // Beside the fixation mark, which is in the middle.
                let corner = all.get_pixel(at[0].min.x as u32 + 3, at[0].min.y as u32 + 3);
                let same = |dx: u32, dy: u32| all.get_pixel(at[0].min.x as u32 + dx, at[0].min.y as u32 + dy) == corner;
                assert!((0..100).all(|i| same(i, i / 2)), "{phase:?}: the place of the images is empty");
                if phase == Phase::Question {
                    harness.key_press(if trial.index % 2 == 0 { Key::Y } else { Key::N });
                }
            }
            _ => {}
        }
        harness.step();
    }
    assert_eq!((shown.len(), masks.len()), (9, 9));
}
