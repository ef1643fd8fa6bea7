/** The pages of the lesson: what each tells, and the state in which it shows the widgets. */

/**
 * @typedef {object} Stop A state of the app.
 * @property {string} tab The tab's id.
 * @property {Record<string, string>} state What differs there from a page that was just opened, as in a link.
 * @property {string} look The widget that must be in sight, as a CSS selector.
 * @property {string} [press] The button to press once the state is there.
 */

/**
 * @typedef {object} LessonPage
 * @property {string} title
 * @property {number} minutes
 * @property {string} text Our own HTML.
 * @property {string} action What to do now.
 * @property {string} question For the class.
 * @property {string} note For the lecturer.
 * @property {Stop} stop Where it opens.
 * @property {{ label: string, stop: Stop }} [more] A second state, behind a button.
 */

const MOVIE = { "nextword.prompt": "The movie was absolutely", "nextword.follow": "terrible" };
const NEXT_WORD = "#nextword-view-chart";

/** @type {LessonPage[]} */
export const PAGES = [
  {
    title: "Every word is a vector",
    minutes: 3,
    text:
      "<p>A language model keeps one vector for each word it can write: its <em>output embedding</em> e. " +
      "Here it is a list of 576 numbers, for each of 49,152 tokens. The map draws the words as points, along two " +
      "directions of that space.</p>",
    action: "Point at some dots: which words are neighbours?",
    question: "What would you expect to lie on opposite sides of such a map?",
    note:
      "The two directions are the ones along which the steer <em>sentiment</em> moves words; any other two " +
      "can be chosen. The model is SmolLM2-135M; a large model differs in numbers, not in kind.",
    stop: { tab: "words", state: { "words.e": "0" }, look: "#word-map" },
  },
  {
    title: "The next word is a dot product",
    minutes: 4,
    text:
      "<p>The model turns a text into one vector h. The score of word v is h · e<sub>v</sub>, and a softmax makes " +
      "probabilities of the scores. After “The movie was absolutely”:</p>" +
      "<table><tr><th>word<th>h · e<th>probability<tr><td>stunning<td>20.03<td>0.040" +
      "<tr><td>terrible<td>19.39<td>0.021<tr><td>the<td>17.78<td>0.004</table>",
    action: "Let the class say the next word, then look at the list for ε = 0.",
    question: "How many dot products does the model compute for one next word?",
    note: "49,152, one for each token. A score that is higher by 0.64 is exp(0.64) = 1.9 times the probability.",
    stop: { tab: "nextword", state: { ...MOVIE, "nextword.e": "0" }, look: NEXT_WORD },
  },
  {
    title: "One equation",
    minutes: 5,
    text:
      "<p class='equation'>e′ = (I + ε W) e</p><p>One matrix W moves all embeddings, in every context; h stays. " +
      "The score changes by ε · h · W e: a straight line in ε for each word. At ε = 1 “stunning” has 24.35, " +
      "“terrible” 18.26, “the” 18.08.</p>",
    action: "Drag ε from −3 to +3. The curves are exact: nothing is sampled.",
    question: "“terrible” is a negative word. Why does it fall again below ε = −1?",
    note:
      "Probabilities share one whole: “wrong” and “bad” outgrow it. Its score still rises, by 1.13 for each " +
      "step of ε.",
    stop: { tab: "nextword", state: { ...MOVIE, "nextword.e": "1" }, look: NEXT_WORD },
  },
  {
    title: "A text beside its baseline",
    minutes: 4,
    text:
      "<p>Left the model alone, right the same model with the steer. Both columns draw with the <em>same random " +
      "numbers</em>, so that what differs is the steer's work.</p>",
    action: "Click a tinted word: the drawer tells what each dimension added.",
    question: "Which words are tinted, and which never are?",
    note: "Those that carry the style; “the” hardly moves. Move the slider to −2 and let the text be written again.",
    stop: {
      tab: "steer",
      state: {
        prompt: "The new neighbours turned out to be",
        "steer.sentiment": "1.5",
        seed: "3",
        tokens: "40",
      },
      look: "#prompt",
    },
  },
  {
    title: "Continuous: ε is a knob",
    minutes: 3,
    text: "<p>The same text at nine ε, written in one batch, from pole to pole.</p>",
    action: "From which line on would you call the text positive?",
    question: "Is there a line at which the style switches on?",
    note: "There is none. Count the votes for each line: they spread, which is the point.",
    stop: {
      tab: "steer",
      state: { prompt: "The new neighbours turned out to be", seed: "3", tokens: "24" },
      look: "#show-continuum",
      press: "#show-continuum",
    },
  },
  {
    title: "Composable: steers add up",
    minutes: 4,
    text: "<p class='equation'>e′ = (I + ε₁ W₁ + ε₂ W₂) e</p><p>Two steers at once: a point in a plane.</p>",
    action: "Drag the point into each corner, or move it with the arrow keys.",
    question: "Where would you put the point for a rude but happy guest?",
    note:
      "Bottom right: happy and casual. Scores add up, probabilities do not; at the rim both styles cost fluency " +
      "together.",
    stop: { tab: "compose", state: {}, look: "#compose-pad" },
  },
  {
    title: "Interpretable: a style lives on few dimensions",
    minutes: 4,
    text:
      "<p>A singular value decomposition takes W apart into dimensions. Each <em>reads</em> one direction of the " +
      "context and <em>writes</em> along one direction of words.</p>",
    action: "Read the words at both ends, and name the dimension.",
    question:
      "What would a dimension of <em>pirate</em> be about? Say it before you read its words.",
    note:
      "Let half the class see the words and the other half the texts of <em>Look</em>. Not every dimension reads " +
      "well: the tab says how well, and rotations of the same W read better.",
    stop: {
      tab: "words",
      state: { "words.steer": "pirate", "words.e": "2.5", "words.pins": "ship" },
      look: "#dimensions",
    },
  },
  {
    title: "What writes can read",
    minutes: 4,
    text:
      "<p>Which ε would have written <em>this</em> text? Each word speaks for one pole or the other, against what " +
      "ordinary text of the same length says.</p>",
    action: "Choose <em>sentences</em> to see the turn in the middle.",
    question: "Which word decides for you? Is it the one that is tinted most?",
    note: "The strongest word is one that we had marked ourselves in about seven of ten short texts.",
    stop: {
      tab: "highlight",
      state: {
        "highlight.text":
          "The kitchen was dirty and the waiter was rude. Still, the view was wonderful and the bread was warm.",
        "highlight.steer": "sentiment",
      },
      look: "#highlight-text",
    },
  },
  {
    title: "Transferable: another model takes it over",
    minutes: 3,
    text:
      "<p>Two models share words but not their spaces. A map between the embeddings, or the behaviour that the " +
      "steer shows, carries it across.</p>",
    action: "Press the button: the steer is carried over, then both models write.",
    question: "What must two models share for this to work at all?",
    note: "It needs a second model on this machine: make gemma, before the lecture.",
    stop: { tab: "transfer", state: {}, look: "#transfer-go" },
  },
  {
    title: "A steer of the class's own",
    minutes: 4,
    text:
      "<p>No data: the model itself says how much likelier each word is behind one description than behind the " +
      "other, and W is fitted to that.</p>",
    action: "Take two descriptions from the class and press <em>Make the steer</em>.",
    question: "Which three words will come first?",
    note: "It takes about half a minute. Then open <em>Words</em> and count how many were foretold.",
    stop: {
      tab: "train",
      state: {
        "train.positive": "a warm, cosy story told by the fireside",
        "train.negative": "a cold, dry technical report",
      },
      look: "#train-positive",
    },
  },
  {
    title: "What it cannot do",
    minutes: 4,
    text:
      "<p>A steer moves wording. It knows nothing of what is meant, nothing of facts, and far out the text repeats " +
      "itself.</p>",
    action: "This complaint is ironic. What does the steer read?",
    question: "Which method would have to know that the rain is not loved?",
    note: "Any method that scores words is deceived here; so are most classifiers.",
    stop: {
      tab: "highlight",
      state: {
        "highlight.text": "Oh great, another flat tyre. I just love standing in the rain.",
        "highlight.steer": "sentiment",
      },
      look: "#highlight-text",
    },
    more: {
      label: "Far beyond the useful range",
      stop: {
        tab: "steer",
        state: { prompt: "My life is", "steer.sentiment": "5", seed: "3", tokens: "40" },
        look: "#prompt",
      },
    },
  },
  {
    title: "How well it works",
    minutes: 3,
    text:
      "<p>Control costs fluency, for every method. The reports set them side by side at the same cost, with " +
      "judges that did not take part, and say where others lead.</p>",
    action: "Find the curve that lies highest at 1.25 times the perplexity.",
    question: "Why is control alone no evidence?",
    note: "Any method writes “wonderful” for ever if repetition costs nothing. Ask who judged, and on how many texts.",
    stop: { tab: "evidence", state: {}, look: ".report" },
  },
];
