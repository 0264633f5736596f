"""What the report says of its tables. A paragraph each."""

INTERVALS = """
All intervals are 95 %, made over clusters (pairs that share a picture or an example are one draw); a result is
*resolved* where the interval leaves out what it is compared with. Layers count from 0. Tables are of the mean over
heads; each head is in analysis.json and in the figure `heads`. Where three or more seeds are pooled, single models are
in analysis.json alone.
""".strip()

ARGMAX = """
The assumption behind the hard target. Chance: a random argmax. Favorite: the model's own favorite index, the same for
all rows. Best constant: the most that one index for all rows can get, told by the truth; an argmax that is not above it
need not tell one row from another. Differences in percentage points.
""".strip()

SOFT = """
What the soft target weighs. Uniform attention gets chance; attention that is the same for all rows gets the mean
attention's. Differences in percentage points.
""".strip()

HEADS = """
Argmax accuracy of the best and of the worst head of each layer. Both are chosen by these data, so the best one's
interval is too good and the worst one's too bad, the more so the more heads there are. The mean over heads is of the
attention, not of the accuracies.
""".strip()

TARGETS = """
Symmetric KL by rows, nats. A target says something that uniform does not where attention is nearer to it than to
uniform (the difference is below 0).
""".strip()

FLATNESS = """
The cosine is between the gradients of own ↔ target and of own ↔ uniform, with respect to the logits of own attention:
near 1, a step that flattens is the step that the regularizer asks for.
""".strip()

EXPLAINED = """
Of own ↔ target over rows: how much follows from own ↔ uniform (r²), and how far the target is beside uniform (ratio of
the means; 1: as far as uniform).
""".strip()

ENTROPY = """
Soft score: the mean of an example's four margins (the paper does not define its own). Spearman's rank correlation with
it, the area under the ROC curve for the group score (0.5: none) and the point-biserial correlation. An example's
entropy is the mean of its two true pairs'. The first question is the last layer's S_LV. The others are looked at beside
it and not corrected for their number: of twenty intervals one is expected to leave out the truth by chance. Over all
examples the kind of swap may stand behind a correlation; the one within a kind is free of it.
""".strip()

SCORES = """
The scores themselves (soft: in the units of the model's match, so not to be compared between kinds of models). The
correlations below them are many and not corrected for their number. Where examples are of several kinds, kinds that are
hard and kinds that look alike make a correlation of their own: that within a kind is free of it.
""".strip()

DIFFERENCES = """
Paired differences on the same pairs. With several seeds the interval speaks of other seeds and other pictures; with one
of other pictures only: a training with another seed may come out otherwise. Shares in percentage points. These are many
and not corrected for their number.
""".strip()
