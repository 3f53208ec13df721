//! Where frames lie: their order, spacing and affine, and what is odd about them.

use super::header::Plane;
use crate::data::about::volumes_note;

/// The planes of the frames of a file or a series. A header may promise many frames that are alike in a few bytes: they are
/// held once.
#[derive(Clone, Debug, Default)]
pub(super) struct Planes {
    runs: Vec<(Plane, usize)>,
    len: usize,
}

impl Planes {
    /// `len` frames of which nothing differs.
    pub fn alike(plane: Plane, len: usize) -> Self {
        Self { runs: vec![(plane, len)], len }
    }

    /// Frames of their own.
    pub fn each(planes: Vec<Plane>) -> Self {
        Self { len: planes.len(), runs: planes.into_iter().map(|plane| (plane, 1)).collect() }
    }

    /// The frames of several files.
    pub fn joined<'a>(files: impl Iterator<Item = &'a Self>) -> Self {
        let runs: Vec<(Plane, usize)> = files.flat_map(|planes| planes.runs.iter().copied()).collect();
        Self { len: runs.iter().map(|(_, len)| len).sum(), runs }
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What holds for frame `index`.
    pub fn at(&self, index: usize) -> Option<&Plane> {
        if self.runs.len() == self.len {
            return self.runs.get(index).map(|(plane, _)| plane);
        }
        let mut before = 0;
        let run = self.runs.iter().find(|(_, len)| {
            before += len;
            index < before
        });
        run.map(|(plane, _)| plane)
    }

    pub fn first(&self) -> Option<&Plane> {
        self.runs.first().map(|(plane, _)| plane)
    }

    /// Each plane once that differs from the one before it.
    pub fn iter(&self) -> impl Iterator<Item = &Plane> {
        self.runs.iter().map(|(plane, _)| plane)
    }

    /// Forgets where frames lie.
    pub fn without_places(&mut self) {
        self.runs.iter_mut().for_each(|(plane, _)| plane.position = None);
    }
}

/// Whether directions differ by no more than rounding.
pub(super) fn same_orientation(a: &Plane, b: &Plane) -> bool {
    match (a.orientation, b.orientation) {
        (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.01),
        (a, b) => a.is_none() == b.is_none(),
    }
}

/// Whether pixels are of one size.
pub(super) fn same_spacing(a: &Plane, b: &Plane) -> bool {
    match (a.spacing, b.spacing) {
        (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3 * b),
        (a, b) => a.is_none() == b.is_none(),
    }
}

/// The direction in which slices follow one another.
fn normal(o: [f64; 6]) -> [f64; 3] {
    [o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]]
}

/// How far along the normal of `first` a plane lies.
pub(super) fn place(first: &Plane, plane: &Plane) -> Option<f64> {
    let (normal, position) = (normal(first.orientation?), plane.position?);
    Some((0..3).map(|i| normal[i] * position[i]).sum())
}

/// For each place the number of the slice, from 0 upwards, that lies there: places that are alike get the same.
pub(super) fn levels(places: &[f64]) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..places.len()).collect();
    sorted.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let average = (places[last] - places[first]) / (places.len() - 1).max(1) as f64;
    let tolerance = 1e-3 + 0.02 * average;
    let mut levels = vec![0; places.len()];
    for pair in sorted.windows(2) {
        levels[pair[1]] = levels[pair[0]] + usize::from(places[pair[1]] - places[pair[0]] > tolerance);
    }
    levels
}

/// The frames of one file in the order of their places, and for each the frame that is stored; `None` if they are stored so.
/// Frames in the same places make volumes that follow one another.
pub(super) fn in_order(planes: Vec<Plane>) -> (Planes, Option<Vec<usize>>) {
    let stored = |planes| (Planes::each(planes), None);
    let Some(first) = planes.first().copied() else { return stored(planes) };
    let places: Option<Vec<f64>> = planes.iter().map(|plane| place(&first, plane)).collect();
    let Some(places) = places.filter(|_| planes.iter().all(|plane| same_orientation(&first, plane))) else {
        return stored(planes);
    };
    let levels = levels(&places);
    let slices = levels.iter().max().map_or(0, |most| most + 1);
    let mut seen = vec![0; slices];
    let volumes: Vec<usize> = levels
        .iter()
        .map(|&level| {
            seen[level] += 1;
            seen[level] - 1
        })
        .collect();
    if slices < 2 || seen.iter().any(|&count| count != seen[0]) {
        return stored(planes);
    }
    let sorted = |downwards: bool| {
        let mut order: Vec<usize> = (0..planes.len()).collect();
        order.sort_by_key(|&i| (volumes[i], if downwards { slices - levels[i] } else { levels[i] }));
        order
    };
    let is_stored = |order: &[usize]| order.iter().enumerate().all(|(place, &index)| place == index);
    let order = sorted(false);
    if is_stored(&order) || is_stored(&sorted(true)) {
        return stored(planes);
    }
    (Planes::each(order.iter().map(|&index| planes[index]).collect()), Some(order))
}

/// What frames are together.
#[derive(Default)]
pub(super) struct Geometry {
    /// Of slices, rows and columns.
    pub spacing: Option<[f32; 3]>,
    pub affine: Option<[[f32; 4]; 3]>,
    /// Slices of a volume, if several follow one another.
    pub volume: Option<usize>,
}

/// Spacing and affine of slices at `planes`.
pub(super) fn geometry(planes: &Planes, notes: &mut Vec<String>) -> Geometry {
    let Some(first) = planes.first() else { return Geometry::default() };
    let mut note = |text: &str| {
        notes.push(text.to_owned());
        Geometry::default()
    };
    if !planes.iter().all(|plane| same_spacing(first, plane)) {
        return note("The pixels of its frames differ in size: they are images of their own, whose size is not known");
    }
    let Some([rows, columns]) = first.spacing else { return Geometry::default() };
    let loose = |note: &mut dyn FnMut(&str) -> Geometry, text: &str| {
        note(text);
        Geometry {
            spacing: Some([first.thickness.unwrap_or(0.0), rows, columns].map(|v| v as f32)),
            ..Default::default()
        }
    };
    if !planes.iter().all(|plane| same_orientation(first, plane)) {
        return loose(&mut note, "Its frames have several orientations: they are no volume, and have no common place");
    }
    if !planes.iter().all(|plane| plane.position.is_some() == first.position.is_some()) {
        return loose(&mut note, "Some of its frames do not say where they lie: they are in the order of the file");
    }
    let volume = volume(planes);
    let slices: Vec<Plane> = planes.iter().take(volume.unwrap_or(usize::MAX)).copied().collect();
    if let Some(count) = volume {
        notes.push(volumes_note(planes.len() / count, count));
    }
    let last = slices.last().unwrap_or(first);
    let travel = match (first.position, last.position) {
        (Some(a), Some(b)) if slices.len() > 1 && a != b => {
            let steps = (slices.len() - 1) as f64;
            Some([0, 1, 2].map(|i| (b[i] - a[i]) / steps))
        }
        _ => None,
    };
    let norm = |v: [f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if travel.is_some() {
        note_steps(&slices, notes);
    }
    let known = travel.map(norm).or(first.step).or(first.thickness).unwrap_or(0.0);
    let spacing = [known, rows, columns].map(|v| v as f32);
    let affine = first.position.zip(first.orientation).map(|(position, o)| {
        let (across, down, normal) = ([o[0], o[1], o[2]], [o[3], o[4], o[5]], normal(o));
        if let Some(travel) = travel {
            let cosine = (0..3).map(|i| travel[i] * normal[i]).sum::<f64>().abs() / (norm(travel) * norm(normal));
            let tilt = cosine.min(1.0).acos().to_degrees();
            if tilt > 0.5 {
                notes.push(format!("Its slices are shifted against one another, as by a gantry tilted by {tilt:.1}°"));
            }
        }
        let step = travel.unwrap_or(normal.map(|v| v * if known > 0.0 { known } else { 1.0 }));
        // DICOM's axes run to the left and to the back, NIfTI's to the right and to the front.
        [0, 1, 2].map(|i| {
            let sign = if i < 2 { -1.0 } else { 1.0 };
            [across[i] * columns, down[i] * rows, step[i], position[i]].map(|v| (sign * v) as f32)
        })
    });
    Geometry { spacing: Some(spacing), affine, volume }
}

/// How many slices a volume has, where several in the same places follow one another.
fn volume(planes: &Planes) -> Option<usize> {
    let places: Option<Vec<f64>> = planes.iter().map(|plane| place(planes.first()?, plane)).collect();
    let levels = levels(&places.filter(|places| places.len() == planes.len())?);
    let slices = levels.iter().max()? + 1;
    let repeats = slices > 1 && slices < levels.len() && levels.len().is_multiple_of(slices);
    (repeats && (slices..levels.len()).all(|i| levels[i] == levels[i - slices])).then_some(slices)
}

/// Slices in the same place, missing ones, and other steps that are not even.
fn note_steps(planes: &[Plane], notes: &mut Vec<String>) {
    let step = |pair: &[Plane]| {
        let (a, b) = (pair[0].position?, pair[1].position?);
        Some((0..3).map(|i| (b[i] - a[i]).powi(2)).sum::<f64>().sqrt())
    };
    let all = planes.len() - 1;
    let steps: Vec<f64> = planes.windows(2).filter_map(step).collect();
    let mut apart: Vec<f64> = steps.iter().copied().filter(|&step| step > 1e-3).collect();
    apart.sort_by(f64::total_cmp);
    let Some(&usual) = apart.get(apart.len() / 2) else { return };
    let same = steps.len() - apart.len();
    if same > 0 {
        notes.push(format!("{same} of its slices lie where another one lies"));
    }
    let missing: f64 = apart.iter().map(|step| (step / usual).round() - 1.0).filter(|&count| count >= 1.0).sum();
    if missing >= 1.0 {
        notes.push(format!("{missing} slices seem to be missing: steps are {usual:.4} mm, some a multiple of it"));
    }
    let uneven = apart.iter().filter(|&&step| (step - usual).abs() > 0.01 * usual + 1e-3).count() + all - steps.len();
    if uneven > 0 {
        notes.push(format!("Its slices are not evenly spaced: {uneven} of {all} steps differ"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(places: &[f64]) -> Vec<Plane> {
        let at = |&z: &f64| Plane {
            position: Some([1.0, 2.0, z]),
            orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            spacing: Some([0.5, 0.25]),
            ..Plane::default()
        };
        places.iter().map(at).collect()
    }

    #[test]
    fn frames_are_put_in_order() {
        let order = |places: &[f64]| in_order(planes(places)).1;
        assert_eq!(order(&[0.0, 6.0, 3.0, 9.0]), Some(vec![0, 2, 1, 3]));
        assert_eq!(order(&[0.0, 3.0, 6.0]), None);
        assert_eq!(order(&[6.0, 3.0, 0.0]), None, "downwards is an order too");
        // Each place twice, one after another: two volumes.
        assert_eq!(order(&[0.0, 0.0, 3.0, 3.0, 6.0, 6.0]), Some(vec![0, 2, 4, 1, 3, 5]));
        assert_eq!(order(&[6.0, 0.0, 0.0]), None, "no volume");
    }

    #[test]
    fn volumes_follow_one_another() {
        let mut notes = Vec::new();
        let found = geometry(&Planes::each(planes(&[0.0, 3.0, 6.0, 0.0, 3.0, 6.0])), &mut notes);
        assert_eq!((found.volume, found.spacing), (Some(3), Some([3.0, 0.5, 0.25])));
        assert_eq!(notes, ["Its 2 volumes of 3 slices follow one another"]);
        let mut turned = planes(&[0.0, 3.0]);
        turned[1].orientation = Some([0.0, 1.0, 0.0, 0.0, 0.0, -1.0]);
        let found = geometry(&Planes::each(turned), &mut notes);
        assert_eq!((found.affine, found.spacing), (None, Some([0.0, 0.5, 0.25])));
        assert!(notes[1].contains("several orientations"), "{notes:?}");
    }

    #[test]
    fn frames_that_are_alike_are_held_once() {
        let many = Planes::alike(Plane::default(), 1 << 20);
        assert_eq!((many.len(), many.iter().count(), many.at(1 << 19).is_some()), (1 << 20, 1, true));
        let joined = Planes::joined([&many, &Planes::each(planes(&[5.0]))].into_iter());
        assert_eq!(joined.len(), (1 << 20) + 1);
        assert_eq!(joined.at(1 << 20).unwrap().position, Some([1.0, 2.0, 5.0]));
        assert!(joined.at((1 << 20) - 1).unwrap().position.is_none() && joined.at((1 << 20) + 1).is_none());
    }
}
