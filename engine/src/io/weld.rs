//! Triangle soup to an indexed mesh: corners with the same coordinates become one vertex.
//!
//! Exact: coordinates are equal as numbers (-0 is 0), nothing is moved or dropped. Vertices are numbered by first appearance,
//! so the result depends on neither threads nor block size. Cost: two passes of open-addressing tables that fit the cache, first over
//! blocks of the file while it streams past, then over what they leave, partitioned by hash. Memory beside the mesh: 24 bytes per corner
//! left by the first pass, which is little more than the vertices where neighbours lie close together in the file.

use std::hash::{BuildHasher, Hasher, RandomState};

use nalgebra::Point3;
use rayon::prelude::*;

use super::fault::Fault;
use crate::mesh::{Mesh, MeshError};

/// Coordinates as bits, -0 made 0: equal keys are equal numbers.
type Key = [u32; 3];

/// Triangles per block of the first weld: its table and input stay within a common second-level cache.
pub(super) const BLOCK: usize = 16 * 1024;
const PARTS: usize = 256;
const EMPTY: u32 = u32::MAX;

/// Bits of a coordinate with both zeros alike.
#[inline]
fn bits(x: f32) -> u32 {
    (x + 0.0).to_bits()
}

/// Multiply and fold: every input bit reaches the low bits that index a table and the high ones that choose a partition.
/// The seed differs from run to run so that no file can be made to collide; ids do not depend on it.
#[derive(Clone, Copy)]
struct Hash {
    seed: u64,
}

impl Hash {
    fn new() -> Self {
        Hash { seed: RandomState::new().build_hasher().finish() }
    }

    #[inline]
    fn of(self, k: &Key) -> u64 {
        let a = (self.seed ^ (u64::from(k[0]) | u64::from(k[1]) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let b = (a ^ a >> 29 ^ u64::from(k[2])).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        b ^ b >> 32
    }
}

/// The distinct corners of one block, in order of partition and, within one, of appearance. Its triangles name them by their place here.
struct Block {
    keys: Vec<Key>,
    /// Where each partition begins, and the end.
    starts: Vec<u32>,
    /// Place in `keys` by order of appearance.
    places: Vec<u32>,
    finite: bool,
}

impl Block {
    fn part(&self, p: usize) -> std::ops::Range<usize> {
        self.starts[p] as usize..self.starts[p + 1] as usize
    }
}

/// Where the corners of a block go: an open-addressing table over the keys found so far.
struct Table {
    slots: Vec<u32>,
    mask: usize,
}

impl Table {
    fn new(entries: usize) -> Self {
        let size = (entries * 2).next_power_of_two().max(16);
        Table { slots: vec![EMPTY; size], mask: size - 1 }
    }

    /// Index of an equal key, or `next` after storing it.
    #[inline]
    fn find_or_insert(&mut self, hash: u64, next: u32, equal: impl Fn(u32) -> bool) -> u32 {
        let mut at = hash as usize & self.mask;
        loop {
            match self.slots[at] {
                EMPTY => {
                    self.slots[at] = next;
                    return next;
                }
                found if equal(found) => return found,
                _ => at = (at + 1) & self.mask,
            }
        }
    }
}

/// Welds `count` triangles. `read` gives the corners of triangles `start..start + out.len()`, from any thread, block by block.
pub(super) fn weld(count: usize, read: impl Fn(usize, &mut [[[f32; 3]; 3]]) -> Result<(), Fault> + Sync) -> Result<Mesh, Fault> {
    if count == 0 {
        return Err(MeshError::Empty { vertices: 0 }.into());
    }
    // Ids of corners and vertices are 32 bits.
    let allowed = u32::MAX as usize / 3 - BLOCK;
    if count > allowed {
        return Err(Fault::TooLarge { what: "the number of triangles", found: count as u64, allowed: allowed as u64 });
    }
    let hash = Hash::new();
    let mut triangles = vec![[0u32; 3]; count];
    let blocks: Vec<Block> = triangles
        .par_chunks_mut(BLOCK)
        .enumerate()
        .map_init(
            || vec![[[0f32; 3]; 3]; BLOCK.min(count)],
            |soup, (b, out)| {
                let soup = &mut soup[..out.len()];
                read(b * BLOCK, soup)?;
                Ok(weld_block(hash, soup, out))
            },
        )
        .collect::<Result<_, Fault>>()?;
    if let Some(b) = blocks.iter().position(|b| !b.finite) {
        return Err(not_finite(b, count, &read));
    }
    let firsts = merge(hash, &blocks);
    let (vertices, ids) = number(&blocks, &firsts);
    let starts = starts(&blocks);
    triangles.par_chunks_mut(BLOCK).enumerate().for_each_init(Vec::new, |resolved, (b, block)| {
        resolved.clear();
        resolved.extend(firsts_of(&blocks, &firsts, b).enumerate().map(|(at, first)| {
            ids[match first {
                EMPTY => starts[b] + at,
                first => first as usize,
            }]
        }));
        block.iter_mut().flatten().for_each(|v| *v = resolved[*v as usize]);
    });
    drop((blocks, firsts, ids));
    Ok(Mesh::new(vertices, triangles)?)
}

/// Where the keys of each block begin, counted over all blocks.
fn starts(blocks: &[Block]) -> Vec<usize> {
    blocks.iter().scan(0, |sum, b| Some(std::mem::replace(sum, *sum + b.keys.len()))).collect()
}

fn weld_block(hash: Hash, soup: &[[[f32; 3]; 3]], out: &mut [[u32; 3]]) -> Block {
    let mut table = Table::new(soup.len() * 3 / 2);
    let (mut keys, mut finite) = (Vec::<Key>::with_capacity(soup.len()), true);
    for (corners, triangle) in soup.iter().zip(out.iter_mut()) {
        for (corner, id) in corners.iter().zip(triangle) {
            finite &= corner.iter().all(|x| x.is_finite());
            let key = corner.map(bits);
            // A full table would never end the search: soups of strangers get a larger one.
            if keys.len() * 4 > table.slots.len() * 3 {
                table = rehashed(hash, &keys);
            }
            let next = keys.len() as u32;
            *id = table.find_or_insert(hash.of(&key), next, |k| keys[k as usize] == key);
            if *id == next {
                keys.push(key);
            }
        }
    }
    sorted(hash, &keys, out, finite)
}

/// Sorts the keys of a block by partition, keeping their order of appearance within each, and renames the corners.
fn sorted(hash: Hash, keys: &[Key], triangles: &mut [[u32; 3]], finite: bool) -> Block {
    let parts: Vec<u8> = keys.iter().map(|k| part(hash, k)).collect();
    let mut starts = vec![0u32; PARTS + 1];
    parts.iter().for_each(|&p| starts[usize::from(p) + 1] += 1);
    (0..PARTS).for_each(|p| starts[p + 1] += starts[p]);
    let (mut next, mut places, mut moved) = (starts.clone(), vec![0u32; keys.len()], vec![[0u32; 3]; keys.len()]);
    for ((key, &p), place) in keys.iter().zip(&parts).zip(&mut places) {
        *place = next[usize::from(p)];
        next[usize::from(p)] += 1;
        moved[*place as usize] = *key;
    }
    triangles.iter_mut().flatten().for_each(|v| *v = places[*v as usize]);
    Block { keys: moved, starts, places, finite }
}

fn part(hash: Hash, key: &Key) -> u8 {
    (hash.of(key) >> 56) as u8
}

fn rehashed(hash: Hash, keys: &[Key]) -> Table {
    let mut table = Table::new(keys.len() * 2);
    for (i, key) in keys.iter().enumerate() {
        table.find_or_insert(hash.of(key), i as u32, |_| false);
    }
    table
}

/// For every partition and block in turn, for every key: the place of its first equal over all blocks, or `EMPTY` where it is the first.
fn merge(hash: Hash, blocks: &[Block]) -> Vec<Parted> {
    let starts = starts(blocks);
    (0..PARTS)
        .into_par_iter()
        .map(|p| {
            let count = blocks.iter().map(|b| b.part(p).len()).sum();
            let mut table = Table::new(count);
            let mut distinct: Vec<(Key, u32)> = Vec::new();
            let mut parted = Parted { firsts: Vec::with_capacity(count), starts: Vec::with_capacity(blocks.len()) };
            for (block, &start) in blocks.iter().zip(&starts) {
                parted.starts.push(parted.firsts.len() as u32);
                for at in block.part(p) {
                    let (key, next) = (block.keys[at], distinct.len() as u32);
                    let found = table.find_or_insert(hash.of(&key), next, |d| distinct[d as usize].0 == key);
                    if found == next {
                        distinct.push((key, (start + at) as u32));
                        parted.firsts.push(EMPTY);
                    } else {
                        parted.firsts.push(distinct[found as usize].1);
                    }
                }
            }
            parted
        })
        .collect()
}

/// One partition's part of [`merge`]'s answer.
struct Parted {
    firsts: Vec<u32>,
    /// Where each block begins in `firsts`.
    starts: Vec<u32>,
}

/// The answer of [`merge`] for the keys of one block, in their order.
fn firsts_of<'a>(blocks: &'a [Block], parted: &'a [Parted], b: usize) -> impl Iterator<Item = u32> + 'a {
    parted.iter().enumerate().flat_map(move |(p, part)| part.firsts[part.starts[b] as usize..][..blocks[b].part(p).len()].iter().copied())
}

/// The vertices in order of first appearance, and for every key that is the first of its kind its number.
fn number(blocks: &[Block], parted: &[Parted]) -> (Vec<Point3<f64>>, Vec<u32>) {
    let new: Vec<usize> = (0..blocks.len()).into_par_iter().map(|b| firsts_of(blocks, parted, b).filter(|&f| f == EMPTY).count()).collect();
    let (total, distinct) = (blocks.iter().map(|b| b.keys.len()).sum(), new.iter().sum());
    let (mut ids, mut vertices) = (vec![EMPTY; total], vec![Point3::origin(); distinct]);
    let mut tasks = vec![];
    let (mut ids_left, mut vertices_left, mut number) = (ids.as_mut_slice(), vertices.as_mut_slice(), 0);
    for (b, block) in blocks.iter().enumerate() {
        let (block_ids, rest) = ids_left.split_at_mut(block.keys.len());
        let (block_vertices, more) = vertices_left.split_at_mut(new[b]);
        tasks.push((b, block_ids, block_vertices, number as u32));
        (ids_left, vertices_left, number) = (rest, more, number + new[b]);
    }
    tasks.into_par_iter().for_each(|(b, ids, vertices, number)| {
        ids.iter_mut().zip(firsts_of(blocks, parted, b)).for_each(|(id, first)| *id = first);
        let appeared = blocks[b].places.iter().map(|&at| at as usize).filter(|&at| ids[at] == EMPTY).collect::<Vec<_>>();
        for ((at, vertex), id) in appeared.into_iter().zip(vertices).zip(number..) {
            ids[at] = id;
            *vertex = Point3::from(blocks[b].keys[at].map(|x| f64::from(f32::from_bits(x))));
        }
    });
    (vertices, ids)
}

/// Names the first triangle with a coordinate that is not finite.
fn not_finite(block: usize, count: usize, read: &impl Fn(usize, &mut [[[f32; 3]; 3]]) -> Result<(), Fault>) -> Fault {
    let start = block * BLOCK;
    let mut soup = vec![[[0f32; 3]; 3]; BLOCK.min(count - start)];
    if let Err(fault) = read(start, &mut soup) {
        return fault;
    }
    let at = soup.iter().position(|t| t.iter().flatten().any(|x| !x.is_finite())).unwrap_or(0);
    Fault::Corner { triangle: start + at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welded(soup: &[[[f32; 3]; 3]]) -> Mesh {
        weld(soup.len(), |start, out| {
            out.copy_from_slice(&soup[start..start + out.len()]);
            Ok(())
        })
        .unwrap()
    }

    /// The obvious way: a map from coordinates to numbers, filled in order.
    fn reference(soup: &[[[f32; 3]; 3]]) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
        let (mut numbers, mut vertices) = (std::collections::BTreeMap::new(), vec![]);
        let triangles = soup
            .iter()
            .map(|t| {
                t.map(|c| {
                    *numbers.entry(c.map(|x| (x + 0.0).to_bits())).or_insert_with(|| {
                        vertices.push(c);
                        vertices.len() as u32 - 1
                    })
                })
            })
            .collect();
        (vertices, triangles)
    }

    #[test]
    fn vertices_are_numbered_by_first_appearance_whatever_the_threads() {
        // Three blocks; coordinates from a small set, so that equal corners lie in different blocks.
        let mut state = 7u64;
        let mut coordinate = |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) % n) as f32 * 0.1 - 2.0
        };
        for n in [3, 40, 1 << 20] {
            let soup: Vec<[[f32; 3]; 3]> = (0..2 * BLOCK + 77).map(|_| [(); 3].map(|()| [(); 3].map(|()| coordinate(n)))).collect();
            let (vertices, triangles) = reference(&soup);
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mesh = pool.install(|| welded(&soup));
                assert_eq!(mesh.triangles(), triangles);
                let wanted: Vec<Point3<f64>> = vertices.iter().map(|v| Point3::from(v.map(f64::from))).collect();
                assert_eq!(mesh.vertices(), wanted);
            }
        }
    }

    #[test]
    fn minus_zero_is_zero_and_nothing_else_is_close_enough() {
        let tiny = f32::MIN_POSITIVE;
        let mesh =
            welded(&[[[0.0, 0.0, 0.0], [-0.0, 1.0, 0.0], [tiny, 0.0, 0.0]], [[-0.0, -0.0, -0.0], [0.0, 1.0, -0.0], [1.0, 0.0, 0.0]]]);
        assert_eq!(mesh.triangles(), [[0, 1, 2], [0, 1, 3]]);
    }

    #[test]
    fn a_coordinate_that_is_not_a_number_is_named_by_its_triangle() {
        let mut soup = vec![[[0.0f32, 1.0, 2.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]; BLOCK + 9];
        soup[BLOCK + 5][1][2] = f32::NAN;
        let fault = weld(soup.len(), |start, out| {
            out.copy_from_slice(&soup[start..start + out.len()]);
            Ok(())
        })
        .unwrap_err();
        assert_eq!(fault, Fault::Corner { triangle: BLOCK + 5 });
    }
}
