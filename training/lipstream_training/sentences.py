"""What the synthetic voices say: sentences written for this project, rich in lip sounds; training and held-out sets are disjoint."""

from __future__ import annotations

import numpy as np

from .phones import SpeechError

_TRAIN = """
My mother bought a pair of purple boots before breakfast.|Perhaps Bob will pick up the paper by the big blue bus.
We were away for a while, but we would like to come back.|Five very fine violins were found in the valley.
Think of the three things that matter most to you.|She sells fresh fish at the shop near the shore.
The judge asked a gentle question and changed his mind.|How now, you found a brown cow outside the house?
Oh no, I hope the boat goes slowly down the road.|Please keep these green leaves clean and neat.
A black cat sat back and had a nap on a mat.|Good cooks took a look at the book on the wooden shelf.
The boy enjoyed a noisy toy and pointed at the oil.|I might try to fly high in the bright night sky.
Many men and women remember the summer months.|Pop the bubble, Mum, and put the pie on top.
What we want is one warm winter coat.|You knew the new blue suit was too loose.
Father saw the tall dark car park far off.|The early bird heard the first word and turned.
Let me tell you about the weather in the mountains this week.|It will be mostly sunny, with some clouds later.
Thank you for calling, my name is Robin and I can help you.|Could you please repeat your number, and spell your surname?
The meeting begins at half past eleven in the small room.|Turn left at the bridge, then walk along the river for a mile.
I am really happy to see all of you here today.|Wow, that is a marvellous idea!
Hello there, welcome back, how was your trip?|No, I do not believe that this is the problem.
Yes, absolutely, we should move the boxes over there.|One, two, three, four, five, six, seven, eight, nine, ten.
Every evening the old fisherman mended his nets by the harbour.|Be brave, be bold, and above all be patient.
Papa and Mama made jam from plums and pears.|Both of them breathe the smooth southern breeze.
Vivid violet vines cover the front of the village.|Wait, what happened to the other half of my apple?
He drew a round red ring around the right answer.|Chew your cheese and choose a cherry for lunch.
The usual measure gives great pleasure on any occasion.|Singing along with a long song, the young king was strong.
Go and get the big bag of good green grapes.|Yesterday a yellow yacht sailed beyond the young island.
Put some butter on the bread, but leave the pepper.|From the balcony we could see boats, birds and the beach.
A famous philosopher wrote about freedom and fear.|Maybe tomorrow morning the snow will melt away.
If you are not sure, just ask me again.|Our little brother loves animals, especially elephants.
The computer stopped because the battery was empty.|People often forget how simple the important things are.
Open the window a bit, it is warm in here.|Where do the ships go when the storm comes?
Mix milk, flour, and four eggs in a bowl.|I was born in a village between two hills.
Nobody knows who moved the map from the wall.|Stop, look both ways, and only then cross the street.
This apple pie smells of cinnamon and autumn.|Empty promises never help a hopeful person.
Remember to breathe, smile, and speak slowly.|My favourite film is about a boy who finds a whale.
Above the town the bells rang for almost an hour.|We bought lamps, pipes, bulbs and a pump for the farm.
Imagine a world where everybody listens.|Could a robot paint a portrait of me?
That was absolutely wonderful, bravo!|Well, I guess we will have to wait and see.
A shy child watched the chef wash a dish of cherries.|Thirsty thieves thought that Thursday was the fourth.
The vase fell over, and five flowers fell with it.|Why would a wise woman walk when she could whistle for a car?
Our hour is over now, so shout it out loud.|Look, the wolf pulled the hood from the bush.
Who threw two blue shoes into the pool?|He rarely reads, but he writes a great deal.
A lonely lawyer let the last lamb go.|The zoo was closed, as it is every Tuesday.
Joyce, the engineer, adjusted the edge of the bridge.|Sixty six sisters sing six silly songs.
Take the train to the north and get off at the third station.|Press the button twice and wait for the beep.
Buy one, get one free, but only until Wednesday.|The population of the valley is about twelve thousand five hundred.
Her birthday is on the fifteenth of February.|It costs forty seven pounds and ninety nine pence.
The plane to Bombay leaves from gate number fifty five.|Help! Help me up, please!
Oh! I see.|Mm, maybe.|Ah, of course.|Hmm, I wonder why.|Bye, bye!|Sure, why not?|Wow!|Oops, my fault.|Absolutely.|Perfect.
Never mind.|Good morning!|Good evening, everybody.|Thanks very much.|What?|Really?|Oh, come on!|Amazing!|Of course I will.
We should probably move before the bus pulls up.|Mobile phones and maps make the problem simple.
A plump baby blew bubbles in a bowl of plum pudding.|Pam, Bob and Tom map the lamp, the tub and the pub.
Remove the pump from the submarine before you jump.|A humble bumble bee bumped into a pumpkin.
Five wives give leave to a brave thief of leaves.|The first half of the life of a fox is rough.
We will wait with Wanda while the wind wails.|Once upon a time there was a quiet queen.
The voice of the boy annoyed the royal visitors.|Out of the house and into the clouds, said the brown mouse.
I like to ride my bike on the right side of the island.|They may play games on rainy days in May.
Those old stones rolled slowly over the cold road.|Put your foot in the brook, and you could get wet.
Calm palms and dark stars are part of the art.|Bad apples add a sad aftertaste to a salad.
Some of us love the sun, but none of us run.|The pen, the bed, the egg, and the red tent went west.
Six little fish swim in the thin mist.|We see three green trees between the fields.
All of the law was drawn on a small chalk board.|Curly girls learn to surf first.
""".replace("\n", "|")

_HELDOUT = """
Mister Palmer promised a better method before Monday.|Very few families from Finland moved to the far valley.
Jump over the puddle, or you will be wet.|The autumn wind blew brown leaves about the empty park.
My uncle owes me money, and he knows it.|Should we take the elevator or climb up the stairs?
Bright beams of light from a lamp fell upon the map.|Thirty three thieves thought about the cloth.
A robin hopped by the pump and ate a crumb.|What a beautiful view from up above the bay!
Please remember to bring both umbrellas to the museum.|The shepherd whistled, and two sheepdogs came running.
Emma baked a peppermint pie for the whole family.|The river froze over in the first week of January.
Can you hear me now, or is the line still bad?|His voice was low, and he chose every word with care.
Nothing pleases a tired worker more than warm soup.|Bees buzz above the clover from May to September.
Oh dear, the vase is broken!|Fair enough, we can agree on that.|Eighty four, eighty five, eighty six.|I beg your pardon?
""".replace("\n", "|")

_WHO = """my mother|a brave woman|the baker|Peter|our new boss|Fiona|the whole village|some people|both boys|Mrs Webb|the old chef|Joe
a few farmers|their father|Maria|this young poet|every member of the band|Bob""".replace("\n", "|")
_DID = """bought|moved|loved|measured|found|washed|opened|remembered|chose|watched|believed in|threw away|paid for|looked at|painted
brought back|shared|wrapped up|wished for|broke""".replace("\n", "|")
_WHAT = """a blue boat|the big map|five warm pies|that wooden chair|a very old violin|the shiny shoes|two thousand apples|a bowl of soup
the broken jar|a white feather|the purple poppies|some fresh bread|the wrong phone|a thick book|the marble vase|three fish|a pump
the mouse house|a ruby ring|a soft pillow""".replace("\n", "|")
_WHEN = """before breakfast|on the fourth of May|for fun|above the shop|by the river|without a word|twice a week|in the early morning
after a while|from the beginning|at half past four|because of the rain|with both hands|in a fishing village|to help us out
for his wife""".replace("\n", "|")


def written(split: str) -> tuple[str, ...]:
    """The sentences written out by hand for `split` ("train" or "heldout")."""
    if split not in ("train", "heldout"):
        raise SpeechError(f"expected the split train or heldout, got {split!r}")
    lines = (_TRAIN if split == "train" else _HELDOUT).split("|")
    return tuple(line.strip() for line in lines if line.strip())


def pick(split: str, rng: np.random.Generator) -> str:
    """A sentence at random: a written one, or (in training, a third of the time) one put together or a number."""
    kind = float(rng.random()) if split == "train" else 1.0
    if kind < 0.25:
        who, did, what, when = (_choice(words, rng) for words in (_WHO, _DID, _WHAT, _WHEN))
        sentence = f"{who} {did} {what} {when}"
        return sentence[0].upper() + sentence[1:] + "."
    if kind < 0.32:
        return f"{_choice('Number|Page|Room|Line|Bus|Platform', rng)} {int(rng.integers(1, 10000))}."
    sentences = written(split)
    return sentences[int(rng.integers(len(sentences)))]


def _choice(words: str, rng: np.random.Generator) -> str:
    options = words.split("|")
    return options[int(rng.integers(len(options)))]
