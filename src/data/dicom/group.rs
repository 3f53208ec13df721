//! Which files of a series make one volume, and in which order.

use super::header::KIND_NAMES;
use super::place::{levels, place, same_orientation, same_spacing};
use super::series::Member;
use crate::data::DataError;
use std::collections::BTreeMap;
use std::path::Path;

/// What to do with images that are no volume.
const APART: &str = "Put images of one kind into a folder of their own, or open one file";

fn name(member: &Member) -> String {
    member.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files of one volume in their order, and what a person should know of it.
///
/// # Errors
/// If they have several orientations, sizes of pixels or units.
pub(super) fn arrange(folder: &Path, mut members: Vec<Member>) -> Result<(Vec<Member>, Vec<String>), DataError> {
    check_alike(folder, &members)?;
    let first = members.first().and_then(|member| member.header.planes.first().copied()).unwrap_or_default();
    let placed = |member: &Member| member.header.planes.first().and_then(|plane| place(&first, plane));
    let by_number = |a: &Member, b: &Member| a.header.number.cmp(&b.header.number).then_with(|| a.path.cmp(&b.path));
    let places: Option<Vec<f64>> = members.iter().map(placed).collect();
    let Some(places) = places else {
        let without = members.iter().filter(|member| placed(member).is_none()).count();
        let mut notes = Vec::new();
        if without < members.len() {
            let all = members.len();
            notes.push(format!(
                "{without} of its {all} files do not say where they lie: they are sorted by number, and have no place"
            ));
            members.iter_mut().for_each(|member| member.header.planes.without_places());
        }
        members.sort_by(by_number);
        return Ok((members, notes));
    };
    let levels = levels(&places);
    let mut slices: Vec<(usize, Member)> = levels.into_iter().zip(members).collect();
    slices.sort_by(|(a, first), (b, second)| a.cmp(b).then_with(|| by_number(first, second)));
    // Files of several frames are volumes of their own, which are put together as they are.
    let single = slices.iter().all(|(_, member)| member.header.planes.len() == 1);
    let (kept, notes) = if single { first_volume(slices) } else { (slices, Vec::new()) };
    Ok((kept.into_iter().map(|(_, member)| member).collect(), notes))
}

/// Of slices, sorted by place and number, of which several lie in the same places, those of the first volume.
fn first_volume(slices: Vec<(usize, Member)>) -> (Vec<(usize, Member)>, Vec<String>) {
    let places = slices.last().map_or(0, |(level, _)| level + 1);
    let all = slices.len();
    // With a single place there is no volume: a film, say.
    if places == all || places < 2 {
        return (slices, Vec::new());
    }
    let elsewhere = "put the others into folders of their own to open them";
    for (kind, what) in KIND_NAMES.into_iter().enumerate() {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (level, member) in &slices {
            groups.entry(&member.header.kinds[kind]).or_default().push(*level);
        }
        // Sorted as they are, levels without repetition are as many as places only if each is there.
        let complete = |levels: &Vec<usize>| levels.iter().copied().eq(0..places);
        if groups.len() < 2 || !groups.values().all(complete) {
            continue;
        }
        let count = groups.len();
        let first = groups.keys().next().copied().unwrap_or_default().to_owned();
        let kept = slices.into_iter().filter(|(_, member)| member.header.kinds[kind] == first).collect();
        return (kept, vec![format!("It holds {count} volumes ({what}), of which this is the first: {elsewhere}")]);
    }
    let mut kept: Vec<(usize, Member)> = Vec::new();
    for slice in slices {
        if kept.last().is_none_or(|(level, _)| *level != slice.0) {
            kept.push(slice);
        }
    }
    let note = format!(
        "{} of its {all} images lie where another one lies and were left out: these are the first of each place by number; \
         {elsewhere}",
        all - kept.len()
    );
    (kept, vec![note])
}

fn check_alike(folder: &Path, members: &[Member]) -> Result<(), DataError> {
    let Some(first) = members.first() else { return Ok(()) };
    let plane = |member: &Member| member.header.planes.first().copied().unwrap_or_default();
    let refused = |cause: String| Err(DataError::new(folder, cause, APART));
    let mut orientations: Vec<(&Member, usize)> = Vec::new();
    for member in members.iter().filter(|member| plane(member).orientation.is_some()) {
        match orientations.iter_mut().find(|(other, _)| same_orientation(&plane(other), &plane(member))) {
            Some((_, count)) => *count += 1,
            None => orientations.push((member, 1)),
        }
    }
    if orientations.len() > 1 {
        let most = orientations.iter().take(4).map(|(member, count)| format!("{count} as {}", name(member)));
        let which = most.collect::<Vec<_>>().join(", ");
        return refused(format!("holds images in {} orientations, which make no volume ({which})", orientations.len()));
    }
    if let Some(other) = members.iter().find(|member| !same_spacing(&plane(first), &plane(member))) {
        let size = |member: &Member| match plane(member).spacing {
            Some([rows, columns]) => format!("{} has pixels of {rows} × {columns} mm", name(member)),
            None => format!("{} does not say their size", name(member)),
        };
        return refused(format!("holds images that differ: {}, {}", size(first), size(other)));
    }
    let scaled = |member: &Member| member.header.planes.iter().any(|plane| plane.scale.is_some());
    let greys = first.header.layout.channels() == 1 && !first.header.layout.table;
    if let Some(other) = members.iter().find(|member| greys && scaled(member) != scaled(first)) {
        let [with, without] = if scaled(first) { [first, other] } else { [other, first] };
        return refused(format!(
            "holds images in different units: {} is rescaled, {} is not",
            name(with),
            name(without)
        ));
    }
    Ok(())
}
