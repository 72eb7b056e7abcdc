"""Writes the source points and the true pose of job b: python prepare_b.py PEERS_FOLDER DATA SHAPE SIZE

PEERS_FOLDER is the one with workloads.py; the points are those that its job_b_icp.py makes."""
import sys
from pathlib import Path

import numpy as np

peers, data, shape, size = sys.argv[1:5]
sys.path.insert(0, peers)
import workloads as W  # noqa: E402

v, f = (np.load(Path(data) / f"{shape}_{size}_{k}.npy") for k in "vf")
rng = np.random.default_rng(41)
p, n = W.sample_surface(v, f, 200_000, rng)
p = p + n * (0.02 * rng.standard_normal(len(p)))[:, None]
T = W.perturbation(v)
truth = np.linalg.inv(T)
np.save(Path(data) / f"b_source_{shape}_{size}.npy", np.ascontiguousarray(p @ T[:3, :3].T + T[:3, 3]))
np.save(Path(data) / f"b_truth_{shape}_{size}.npy", np.ascontiguousarray(np.vstack([truth[:3, :3].T, truth[:3, 3]])))
