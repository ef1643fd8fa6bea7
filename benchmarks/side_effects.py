"""What a steer moves besides its own style, and whether the model still knows what it knew.

    python -m benchmarks.side_effects styles --data DATA
    python -m benchmarks.side_effects facts

`styles` continues neutral prompts at both ends of every shipped steer's range and lets every judge
read them: cells are the mean's difference from unsteered text, in standard deviations of unsteered
texts. DATA holds prompts/neutral.jsonl and a folder with dev.jsonl for each judged style.

`facts` asks which of four words goes on a sentence of our own: a fact or a small sum. The answer
is the likeliest of the four; a guess is right once in four.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.control import continuations
from lmsteer_core import LanguageModel, Steer, load_model
from lmsteer_core.evaluation.judges import Score, load_judge
from lmsteer_core.evaluation.methods.offsets import additive_from_descriptions
from lmsteer_core.evaluation.methods.prompting import PREFIX
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.evaluation.task import TASKS
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.steers.library import discover
from lmsteer_core.steers.steer import steer_hidden

CLASSIFIERS = ("clickbait", "subjectivity", "shakespeare")

FACTS = """\
The capital of France is|Paris|London|Rome|Berlin
The capital of Japan is|Tokyo|China|Paris|Korea
The capital of Italy is|Rome|Paris|Spain|Milan
The capital of Egypt is|Cairo|Athens|Rome|Dubai
The largest planet in our solar system is|Jupiter|Mars|Earth|Venus
The planet closest to the Sun is|Mercury|Mars|Earth|Saturn
Water is made of hydrogen and|oxygen|carbon|iron|gold
The opposite of hot is|cold|warm|tall|fast
The opposite of up is|down|left|over|near
The opposite of early is|late|soon|fast|long
A baby dog is called a|puppy|kitten|cub|calf
A baby cat is called a|kitten|puppy|lamb|bird
A female horse is called a|mare|cow|hen|sheep
Bees make|honey|milk|wool|bread
Cows give us|milk|honey|wool|eggs
Sheep give us|wool|honey|eggs|gold
The colour of grass is|green|blue|red|purple
The colour of snow is|white|green|black|red
The colour of a clear sky by day is|blue|green|brown|pink
The frozen form of water is|ice|steam|sand|salt
The day after Monday is|Tuesday|Friday|Sunday|Monday
The day after Friday is|Saturday|Thursday|Monday|Tuesday
The month after March is|April|May|June|January
The first month of the year is|January|March|July|December
The season after winter is|spring|autumn|summer|night
There are seven days in a|week|month|year|day
There are twelve months in a|year|week|day|month
There are sixty minutes in an|hour|day|week|year
Romeo and Juliet was written by William|Shakespeare|Smith|Washington|Wilson
The first president of the United States was George|Washington|Bush|Smith|Wilson
The language spoken in Brazil is|Portuguese|French|German|English
The language spoken in Mexico is|Spanish|French|German|Italian
The currency of Japan is the|yen|dollar|euro|pound
The organ that pumps blood is the|heart|brain|liver|skin
We see with our|eyes|ears|hands|feet
We hear with our|ears|eyes|hands|teeth
Fish breathe through their|gills|lungs|ears|tails
A triangle has three|sides|wheels|legs|hours
A person who flies a plane is a|pilot|doctor|farmer|baker
A person who bakes bread is a|baker|pilot|doctor|teacher
One plus one is|two|three|four|nine
Two plus three is|five|six|four|nine
Four plus four is|eight|seven|nine|six
Ten minus one is|nine|eight|seven|six
Five minus two is|three|two|four|one
Two times three is|six|five|eight|nine
Half of ten is|five|four|six|two
Three plus four is|seven|six|eight|five\
"""


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=("styles", "facts"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--n-prompts", type=int, default=192)
    options = parser.parse_args()
    lm = load_model(options.model, dtype="bfloat16")
    steers, _ = discover([PRETRAINED_STEERS], lm.output_embedding, lm.model_id)
    if options.table == "facts":
        print_facts(lm, steers)
    elif options.data:
        prompts = read_prompts(options.data / "prompts" / "neutral.jsonl", options.n_prompts)
        print_styles(lm, steers, prompts, judges(options.data))
    else:
        parser.error("styles needs --data")


def judges(data: Path) -> dict[str, Score]:
    """Return what reads the texts, by what it measures."""
    toxicity = load_judge("profanity").score
    measures: dict[str, Score] = {
        "sentiment": load_judge("vader").score,
        "clean": lambda texts: [1 - score for score in toxicity(texts)],
    }
    for style in CLASSIFIERS:
        measures[style] = load_judge(f"tfidf:{data / style / 'dev.jsonl'}").score
    measures["words"] = lambda texts: [len(text.split()) for text in texts]
    measures["letters a word"] = lambda texts: [
        float(np.mean([len(word) for word in text.split()] or [0])) for text in texts
    ]
    return measures


def print_styles(
    lm: LanguageModel, steers: dict[str, Steer], prompts: list[str], measures: dict[str, Score]
) -> None:
    """Print steer × judge, − end / + end."""
    base = [row.text for row in continuations(lm, next(iter(steers.values())), prompts, 0.0)]
    plain = {name: np.array(score(base), dtype=float) for name, score in measures.items()}
    print(f"| steer | ε | {' | '.join(measures)} |\n|---|---|{'---|' * len(measures)}")
    for name, steer in steers.items():
        ends = [
            [row.text for row in continuations(lm, steer, prompts, epsilon)]
            for epsilon in steer.card.epsilon_range
        ]
        cells = []
        for measure, score in measures.items():
            moved = [
                (np.mean(score(texts)) - plain[measure].mean()) / plain[measure].std()
                for texts in ends
            ]
            cells.append(" / ".join(f"{value:+.2f}" for value in moved))
        low, high = steer.card.epsilon_range
        print(f"| {name} | {low:g} / {high:+g} | {' | '.join(cells)} |", flush=True)


def print_facts(lm: LanguageModel, steers: dict[str, Steer]) -> None:
    """Print the share of right answers at both ends of every steer and of its rivals."""
    questions = [line.split("|") for line in FACTS.split("\n")]
    answers = [[lm.token_ids(f" {word}")[0] for word in words] for _, *words in questions]

    def hidden(behind: str = "") -> Tensor:
        read = [lm.encode(behind + sentence)[0] for sentence, *_ in questions]
        return torch.stack([states[-1] for states in lm.hidden_states(read)]).float()

    def share(states: Tensor, offset: Tensor | float = 0.0) -> float:
        logits = lm.unembed(states.to(lm.output_embedding.dtype)).float()
        rows = zip(lm.finish(logits + offset), answers, strict=True)
        return sum(int(row[words].argmax()) == 0 for row, words in rows) / len(questions)

    plain = hidden()
    print(f"{len(questions)} questions, unsteered {share(plain):.3f}\n")
    print("| | − end | + end |\n|---|---|---|")
    for name, steer in steers.items():
        low, high = (
            share(steer_hidden(plain, steer.left.float(), steer.right.float(), torch.tensor(end)))
            for end in steer.card.epsilon_range
        )
        print(f"| {name} | {low:.3f} | {high:.3f} |", flush=True)
    for name in ("sentiment", "detoxification"):
        task = TASKS[name]
        low, high = (share(hidden(PREFIX.format(p))) for p in (task.negative, task.positive))
        print(f"| {name}, prompt prefix | {low:.3f} | {high:.3f} |", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            vector = additive_from_descriptions(lm, task, Path(folder), lambda _share, _what: None)
        low, high = (share(plain, end * vector.offset) for end in steers[name].card.epsilon_range)
        print(f"| {name}, additive vector | {low:.3f} | {high:.3f} |", flush=True)


if __name__ == "__main__":
    main()
