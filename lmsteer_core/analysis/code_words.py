"""Which words are code's alone, such as *kwargs*: those that the model expects there only.

A word is judged with its nearest neighbours: *node* and *freeze* stand in code too, but beside
*vertex* and *frozen*, which are said in sentences.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.models.batched import hidden_states, next_word, tokens_per_chunk
from lmsteer_core.models.language_model import LanguageModel

_CODE = (
    "import os, sys\nfrom pathlib import Path\n\ndef main(*args, **kwargs):\n    self.config = {}\n"
    "    for i in range(len(args)):\n        if args[i] is None:\n"
    "            raise ValueError('bad')\n    return self._cache[key]\n",
    "const express = require('express');\nfunction handler(req, res) {\n  let body = '';\n"
    "  req.on('data', chunk => { body += chunk; });\n  if (err) { console.log(err); }\n"
    "  return new Promise((resolve, reject) => resolve(null));\n}\n",
    "#include <stdio.h>\nstatic int parse(const char *buf, size_t len) {\n"
    "    struct node *ptr = malloc(sizeof(struct node));\n    unsigned int n = 0;\n"
    "    while (ptr != NULL && n < len) { ptr = ptr->next; n++; }\n    return (int) n;\n}\n",
    "SELECT id, name FROM users WHERE age > 30 ORDER BY name;\n"
    "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL);\n",
    "public class Main extends Base implements Runnable {\n    private final String url;\n"
    "    @Override public void run() throws IOException {\n        System.out.println(url);\n"
    "    }\n}\n",
    "$ pip install numpy\n$ git clone https://example.com/repo.git\n$ cd repo && make test\n",
    "import numpy as np\nimport torch\nx = np.zeros((3, 4))\nfor batch in loader:\n"
    "    loss = criterion(model(batch), target)\n    loss.backward()\n    optimizer.step()\n",
    '<html><head><title>Page</title></head><body><div class="main">'
    '<a href="index.html">Home</a></div></body></html>',
    "try:\n    result = subprocess.check_output(cmd, stderr=None)\n"
    "except (OSError, KeyError) as exc:\n    logger.debug('failed: %s', exc)\nimport hashlib\n",
)
"""Our own, in a few languages."""

_MOST_IN_TEXT = 2e-5
"""Mean probability in ordinary text above which a word is people's too, whatever code does."""

_N_NEIGHBOURS = 8
_CAP = 4.0
_LEAST = 3.0
"""Nats by which a word, up to the cap, and its neighbours together are likelier in code."""


def code_words(lm: LanguageModel, token_ids: Tensor) -> Tensor:
    """Return which of the words with these token ids, (n_words,), are code's alone, as bools."""
    texts = [ids for code in _CODE if (ids := lm.token_ids(code))]
    if not texts:
        return torch.zeros(len(token_ids), dtype=torch.bool)
    hidden = torch.cat(hidden_states(lm, texts, lm.prefix_ids))
    in_code = torch.zeros(lm.vocab_size)
    for some in hidden.split(tokens_per_chunk(lm)):
        in_code += next_word(lm, some).sum(dim=0).float().cpu()
    in_text = expectations(lm).probability[token_ids]
    likelier = (in_code[token_ids] / len(hidden) / in_text).log()
    units = lm.output_embedding[token_ids.to(lm.device)].float().cpu()
    units = normalize(units - expectations(lm).embedding)
    found = torch.zeros(len(token_ids), dtype=torch.bool)
    n_nearest = min(_N_NEIGHBOURS + 1, len(units))
    asked = ((likelier > 0) & (in_text < _MOST_IN_TEXT)).nonzero()[:, 0]
    for some in asked.split(1024):
        nearest = (units[some] @ units.T).topk(n_nearest, dim=1).indices[:, 1:]
        together = likelier[some].clamp(max=_CAP) + likelier[nearest].mean(dim=1)
        found[some] = together > _LEAST
    return found
