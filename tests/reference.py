"""The published formulas in float64 numpy, written for plainness."""

import numpy as np


def local_pool(stage):
    """3x3 mean with zero padding counted; (h, w, c)."""
    h, w, _ = stage.shape
    padded = np.pad(stage.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    return np.stack([[padded[i : i + 3, j : j + 3].mean((0, 1)) for j in range(w)] for i in range(h)])


def greedy_k_center(pool, m):
    """Indices of the coreset, the first row first."""
    pool = pool.astype(np.float64)
    chosen = [0]
    nearest = np.linalg.norm(pool - pool[0], axis=1)
    while len(chosen) < m:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(pool - pool[chosen[-1]], axis=1))
    return np.array(chosen)


def reconstruct(Q, S, mu, lam):
    """Qhat = W S with the published inverse; Q and mu (n, c), S (m, c) of full row rank."""
    Q, S, mu = (x.astype(np.float64) for x in (Q, S, mu))
    W = (Q @ S.T + lam * mu @ S.T) @ np.linalg.inv((1 + lam) * S @ S.T)
    return W @ S


def residual(Q, S, mu, lam):
    """||Q - Qhat|| of each row, by least squares on the stacked system: any S, also deficient."""
    Q, S, mu = (x.astype(np.float64) for x in (Q, S, mu))
    stacked = np.vstack([S.T, np.sqrt(lam) * S.T])
    target = np.vstack([Q.T, np.sqrt(lam) * mu.T])
    W = np.linalg.lstsq(stacked, target, rcond=1e-6)[0].T
    return np.linalg.norm(Q - W @ S, axis=1)


def greedy_k_center_from(pool, m, nearest):
    """The same with the distances (not squared) to begin with given."""
    pool, chosen = pool.astype(np.float64), []
    while len(chosen) < m:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(pool - pool[chosen[-1]], axis=1))
    return np.array(chosen)


def distances(x, y):
    """All distances between rows, (n, m)."""
    return np.linalg.norm(x.astype(np.float64)[:, None] - y.astype(np.float64)[None], axis=-1)


def adaptive_mean(x, size):
    """Means of the bins of torch's adaptive average pooling of a vector."""
    length = len(x)
    return np.array([x[i * length // size : int(np.ceil((i + 1) * length / size))].mean() for i in range(size)])


def resize_bilinear(field, height, width):
    """Each output reads its four neighbours, sample points at pixel centres; (h, w, ...)."""
    h, w = field.shape[:2]
    result = np.zeros((height, width, *field.shape[2:]))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * h / height - 0.5, 0), h - 1)
            x = min(max((j + 0.5) * w / width - 0.5, 0), w - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
            upper = (1 - x + left) * field[top, left] + (x - left) * field[top, right]
            lower = (1 - x + left) * field[bottom, left] + (x - left) * field[bottom, right]
            result[i, j] = (1 - y + top) * upper + (y - top) * lower
    return result


def patchcore_embed(stages, dimensions):
    """The authors' order: every entry of the patches interpolated to the first stage, averaged adaptively twice."""
    height, width, _ = stages[0].shape
    vectors = []
    for stage in stages:
        h, w, c = stage.shape
        padded = np.pad(stage.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
        patches = np.zeros((h, w, c, 3, 3))
        for i in range(h):
            for j in range(w):
                patches[i, j] = padded[i : i + 3, j : j + 3].transpose(2, 0, 1)
        vectors.append(resize_bilinear(patches, height, width).reshape(height, width, -1))
    result = np.zeros((height, width, dimensions))
    for i in range(height):
        for j in range(width):
            parts = [adaptive_mean(vector[i, j], dimensions) for vector in vectors]
            result[i, j] = adaptive_mean(np.concatenate(parts), dimensions)
    return result


def reweighted(patch, bank, b):
    """PatchCore's re-weighted score of the farthest patch."""
    to_bank = distances(patch[None], bank)[0]
    star = to_bank.argmin()
    around = distances(bank[star][None], bank)[0].argsort(kind="stable")[:b]
    return (1 - np.exp(to_bank[star]) / np.exp(to_bank[around]).sum()) * to_bank[star]


def mahalanobis(support, query, epsilon=0.01):
    """sqrt((x - mu)ᵀ (C + epsilon I)⁻¹ (x - mu)) at each position, C with the denominator k - 1, 0 for one image."""
    k, h, w, d = support.shape
    result = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            rows = support[:, i, j].astype(np.float64)
            covariance = np.cov(rows, rowvar=False).reshape(d, d) if k > 1 else np.zeros((d, d))
            x = query[i, j] - rows.mean(0)
            result[i, j] = np.sqrt(x @ np.linalg.inv(covariance + epsilon * np.eye(d)) @ x)
    return result


def pca_residual(rows, queries, explained):
    """Squared residual of each query from the principal directions, by SVD, and their number."""
    rows, queries = rows.astype(np.float64), queries.astype(np.float64)
    mean = rows.mean(0)
    _, s, Vt = np.linalg.svd(rows - mean, full_matrices=False)
    share = np.cumsum(s**2) / (s**2).sum()
    count = int((share < explained - 1e-12).sum()) + 1
    V = Vt[:count].T
    return np.square((queries - mean) - (queries - mean) @ V @ V.T).sum(1), count


def soft_coordinates(rows, pool, *, soft_length, soft_spectrum):
    """Rows in coordinates in which the metric of a pool is Euclidean, by its eigenvectors; (n, c)."""
    rows, pool = (x.astype(np.float64) for x in (rows, pool))
    radius = soft_length * np.sqrt(np.square(pool).sum(1).mean())
    rows, pool = (x / np.sqrt(np.square(x).sum(1, keepdims=True) + radius**2) for x in (rows, pool))
    values, vectors = np.linalg.eigh(np.cov(pool.T, bias=True))
    noise = soft_spectrum * values.mean() + 1e-6
    return (rows - pool.mean(0)) @ vectors * np.sqrt(noise / (values + noise))


def soft_squared_distances(queries, bank, pool, **settings):
    """Squared distances in the metric of a pool; (n, m)."""
    return distances(*(soft_coordinates(rows, pool, **settings) for rows in (queries, bank))) ** 2
