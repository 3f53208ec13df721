//! What is going to be asked, as it is typed into the form, and the plan that it makes.

use crate::attack::Attack;
use crate::engine::StudyImage;
use crate::observer::{Condition, Identity, Plan, Stimuli, StimulusImage, Task, Timing, distinguishable};
use crate::view::Presentation;
use crate::workbench::State;
use crate::workbench::tuning::{epsilon_short, is_of_levels};
use std::path::PathBuf;

/// Images of a study that are kept in memory take at most this many bytes; a coarser grid of ε takes fewer.
const MOST_BYTES: usize = 1 << 30;
/// No coarser than this many ε.
const FEWEST_STEPS: usize = 12;
/// What is going to be asked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The observer's name or pseudonym; nothing is kept if it is empty.
    pub observer: String,
    /// The question.
    pub task: Task,
    /// Trials, catch trials, practice trials and trials between breaks.
    pub counts: [usize; 4],
    /// How a trial runs.
    pub timing: Timing,
    /// Smallest and largest ε.
    pub range: [f64; 2],
    /// So many images of the open data set, drawn by lot, in random order; 1: the one on the screen.
    pub images: usize,
    /// The attacks of the comparison of several are conditions of their own.
    pub several: bool,
    /// Random signs of the same ε are a condition of their own.
    pub control: bool,
    /// Decides order and sides; drawn by chance where none is set.
    pub seed: Option<u64>,
    pub(super) folder: String,
}

impl Draft {
    pub(super) fn new(folder: PathBuf) -> Self {
        let plan = Plan::new(Task::TwoAlternative, Vec::new(), 150, 0);
        Self {
            observer: String::new(),
            task: plan.task,
            counts: [plan.trials, plan.catches, plan.practice, plan.break_every],
            timing: plan.timing,
            range: plan.range,
            images: 1,
            several: false,
            control: false,
            seed: None,
            folder: folder.display().to_string(),
        }
    }

    /// Where sessions are kept.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(self.folder.trim())
    }

    /// The attacks of the comparison that can be studied beside the chosen one.
    pub(super) fn others(&self, state: &State) -> Vec<Attack> {
        let others = state.several.attacks.iter().filter_map(|name| Attack::named(name).ok());
        others.filter(|other| other.name() != state.method.name() && is_of_levels(other)).collect()
    }

    pub(super) fn attacks(&self, state: &State) -> Vec<Attack> {
        let mut attacks = vec![state.method];
        if self.several {
            attacks.extend(self.others(state));
        }
        if self.control
            && let Ok(random) = Attack::random_sign(crate::study::CONTROL_SEED)
            && random != state.method
        {
            attacks.push(random);
        }
        attacks
    }

    /// Why the chosen attack cannot be studied, if it cannot: a threshold is one of ε that were placed, in grey levels.
    pub(super) fn refused(state: &State) -> Option<String> {
        let attack = &state.method;
        let why = "a study places ε, the most that a grey level changes by. Choose an attack that is bounded in L∞, such as FGSM or PGD";
        (!is_of_levels(attack)).then(|| format!("ε of {} is {}; {why}", attack.title(), epsilon_short(attack)))
    }

    /// The plan; of its ε only those that are different pictures on the screen. Of the image on the screen where `images` is empty.
    pub(super) fn plan(&self, state: &State, seed: u64, images: &[StudyImage]) -> Option<(Plan, Stimuli)> {
        let case = state.case.as_ref()?;
        let attacks = self.attacks(state);
        let names: Vec<&str> = match images {
            [] => vec![&case.name],
            several => several.iter().map(|image| image.name.as_str()).collect(),
        };
        let of_image = |image: &&str| {
            let condition = |a: &Attack| Condition { image: (*image).to_owned(), attack: a.name().to_owned() };
            attacks.iter().map(condition).collect::<Vec<_>>()
        };
        let conditions: Vec<Condition> = names.iter().flat_map(of_image).collect();
        let [trials, catches, practice, break_every] = self.counts;
        let plan = Plan::new(self.task, conditions, trials, seed);
        let values = |shape: &[usize; 3]| shape.iter().product::<usize>();
        let all: usize = match images {
            [] => values(&case.shape),
            several => several.iter().map(|image| values(&image.shape)).sum(),
        };
        let most = (MOST_BYTES / (all * 4 * attacks.len()).max(1)).saturating_sub(practice + 1).max(FEWEST_STEPS);
        let plan = Plan {
            catches,
            practice,
            break_every,
            range: self.range,
            steps: plan.steps.min(most),
            timing: self.timing,
            ..plan
        };
        let together: Vec<f32> = images.iter().flat_map(|image| image.values.iter().copied()).collect();
        let original = match images {
            [] => state.frame.as_ref().and_then(|frame| frame.original.values()),
            _ => Some(together.as_slice()),
        };
        let levels = original.map(|values| distinguishable(values, plan.range, plan.steps, &drawn(state)));
        let plan = match &levels {
            Some(levels) => plan.with_levels(levels),
            None => plan,
        };
        let model = state.model.as_ref().map_or_else(String::new, |m| m.name.clone());
        let set = state.browse.set.as_ref();
        let shown = |image: &StudyImage| StimulusImage {
            entry: set.and_then(|set| set.entries.get(image.entry)).map_or_else(String::new, |e| e.name.to_string()),
            slice: image.slice,
            shape: image.shape,
            identity: image.identity.clone(),
        };
        let stimuli = Stimuli {
            slice: case.slice,
            shape: case.shape,
            model,
            attacks: names.iter().flat_map(|_| attacks.iter().copied()).collect(),
            images: images.iter().flat_map(|image| vec![shown(image); attacks.len()]).collect(),
            identity: if images.is_empty() { case.identity.clone() } else { Identity::default() },
        };
        Some((plan, stimuli))
    }
}

/// How a study's images are drawn: the window has 8 bits of grey, however many the screen has.
pub(super) fn drawn(state: &State) -> Presentation {
    let presentation = state.presentation();
    Presentation { bits: presentation.bits.min(8), ..presentation }
}
