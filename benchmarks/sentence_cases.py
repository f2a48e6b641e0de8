"""Paragraphs and where their sentences end, written for this project before any library saw them.

"|" stands for a boundary: a space in languages that put one between sentences, else nothing.
"""

from __future__ import annotations

ENGLISH = """
Two dogs are playing.|A man is watching them.
Is it raining?|Yes!|Then we stay.
Dr. Smith met Mrs. Jones at St. Mary's Church.|They talked for an hour.
He moved to the U.S. in 1999.|She stayed.
The U.S. Army bought it.|It was cheap.
It costs $3.50 per piece.|Version 2.0.1 is out.
We start at 9 a.m. and end at 5 p.m. on Mondays.|Bring a pen.
Use tools, e.g. a hammer, i.e. something heavy.|Be careful.
See Fig. 3 and pp. 12-15 of Vol. 2.|Then read on.
J. R. R. Tolkien wrote it.|George W. Bush did not.
Well... I am not sure.|Perhaps… you are.
He waited...|Nobody came.
"Come here!" she said.|He came.
He said, "I am tired."|Then he slept.
(This is an aside.)|This is not.
Visit https://www.example.com/a.b?c=d.e for more.|Or write to j.doe@mail.example.org today.
The file is called report.final.pdf now.|Open it.
Acme Inc. and Foo Ltd. merged.|Shares rose 4.5 percent.
What?!|No way!!!
Meet me on Jan. 5 at No. 10.|Do not be late.
He is 5 ft. 9 in. tall.|She is not.
Smith et al. proved it.|Others did not.
It was 'good.'|Or so they said.
iPhones are dear.|eBay sells them.
Mr. and Mrs. Brown vs. the State of Ohio.|The case was closed.
The meeting is at 10.|Nobody knew.
She has a Ph.D. in physics.|He has none.
I live at 221B Baker St. in London.|Come by.
Ask Sgt. Pepper or Gen. Grant.|Neither knows.
She likes apples, pears, etc. and he likes none.|So be it.
"""

GERMAN = """
Zwei Hunde spielen.|Ein Mann sieht ihnen zu.
Regnet es?|Ja!|Dann bleiben wir.
Dr. Müller traf Prof. Schmidt am Bahnhof.|Sie redeten lange.
Das gilt z. B. für Hunde.|Katzen sind anders.
Das gilt z.B. für Hunde.|Katzen sind anders.
Wir kommen am 3. Mai an.|Am 4. Mai reisen wir ab.
Am 24. Dezember 2020 schneite es.|Danach nicht mehr.
Sie wohnt im 2. Stock.|Er wohnt im 3. Stock.
Friedrich II. von Preußen spielte Flöte.|Er komponierte auch.
Es kostet 3,50 Euro bzw. 1.000 Yen.|Das ist billig.
Vgl. dazu S. 12 ff. und Abb. 3.|Dort steht mehr.
Der Zug fährt um 9.30 Uhr.|Er ist pünktlich.
Er kam u. a. aus Wien, d. h. aus Österreich.|Sie nicht.
Nun ja ... ich weiß nicht.|Vielleicht.
Er wartete…|Niemand kam.
„Komm her!“, sagte sie.|Er kam.
Er sagte: „Ich bin müde.“|Dann schlief er.
»Wohin gehst du?«, fragte er.|Sie schwieg.
(Das ist eine Bemerkung.)|Das hier nicht.
Siehe https://www.beispiel.de/a.b?c=d.e dazu.|Oder schreib an m.muster@post.beispiel.de heute.
Die Datei heißt bericht.neu.pdf jetzt.|Öffne sie.
Die Muster GmbH & Co. KG wuchs ca. 4,5 Prozent.|Das freut alle.
Was?!|Nein!!!
Ich wohne in der Goethestr. 5 in Bonn.|Komm vorbei.
Hr. Meier und Fr. Schulz kamen.|Alle anderen fehlten.
Das 19. Jahrhundert war lang.|Das 20. war kurz.
Äpfel, Birnen usw. kosten wenig.|Kirschen sind teuer.
Der 1. FC Köln gewann.|Die Fans jubelten.
Das Treffen ist um 10.|Niemand wusste es.
Sie kam inkl. Gepäck, zzgl. Hund.|Er kam allein.
"""

FRENCH = """
Deux chiens jouent.|Un homme les regarde.
Il pleut ?|Oui !|Alors on reste.
M. Dupont a vu Mme Durand et le Dr. Petit.|Ils ont parlé.
Prenez un outil, p. ex. un marteau.|Faites attention.
Prenez un outil, par ex. un marteau.|Faites attention.
C'est vrai, c.-à-d. exact.|Enfin, presque.
Voir p. 12 et fig. 3 du vol. 2.|Puis continuez.
Il coûte 3,50 euros.|La version 2.0.1 est là.
J. K. Rowling l'a écrit.|Elle est anglaise.
Il est né au XIXe s. av. J.-C. ou après.|Nul ne sait.
Eh bien... je ne sais pas.|Peut-être.
Il attendait…|Personne ne vint.
« Viens ici ! » dit-elle.|Il vint.
Il dit : « Je suis fatigué. »|Puis il dormit.
"Viens ici !" dit-elle.|Il vint.
(Ceci est une remarque.)|Ceci non.
Voir https://www.exemple.fr/a.b?c=d.e pour plus.|Ou écrivez à j.dupont@poste.exemple.fr demain.
Le fichier s'appelle rapport.final.pdf maintenant.|Ouvrez-le.
Quoi ?!|Non !!!
Le train part à 9 h 30.|Il est à l'heure.
Des pommes, des poires, etc. sont là.|Les cerises sont chères.
Le 1er mai est férié.|Le 2 mai non.
Il habite au 5, bd. Voltaire à Paris.|Passez le voir.
L'art. 5 de la loi est clair.|L'art. 6 non.
Les États-Unis (U.S.A. en anglais) sont grands.|La France est petite.
Le n. 5 est sorti.|Le n° 6 aussi.
Env. 4,5 pour cent sont venus.|Les autres non.
La réunion est à 10.|Personne ne le savait.
Ce fut l'œuvre de l'abbé P. en 1850.|Il mourut peu après.
Elle est arrivée.|À midi, elle repartit.
"""

CZECH = """
Dva psi si hrají.|Muž se na ně dívá.
Prší?|Ano!|Tak zůstaneme.
Dr. Novák potkal Ing. Svobodu a Mgr. Malou.|Dlouho mluvili.
Vezmi nástroj, např. kladivo.|Buď opatrný.
Přijedeme 1. ledna.|Odjedeme 2. února.
Dne 24. prosince 2020 sněžilo.|Potom už ne.
Bydlí ve 2. patře.|On bydlí ve 3. patře.
Karel IV. založil univerzitu.|Založil i most.
Stojí to 3,50 Kč, tj. málo.|To je levné.
Viz str. 12 a obr. 3.|Tam je víc.
Vlak jede v 9.30 hod. ráno.|Je včas.
No... já nevím.|Možná.
Čekal…|Nikdo nepřišel.
„Pojď sem!“ řekla.|Přišel.
Řekl: „Jsem unavený.“|Pak spal.
(To je poznámka.)|Tohle ne.
Viz https://www.priklad.cz/a.b?c=d.e k tomu.|Nebo piš na j.novak@posta.priklad.cz dnes.
Soubor se jmenuje zprava.nova.pdf teď.|Otevři ho.
Firma Novák s. r. o. rostla.|To těší všechny.
Firma Novák, a. s., rostla cca o 4,5 procenta.|To těší všechny.
Cože?!|Ne!!!
Bydlím v ul. Dlouhá č. 5 v Praze.|Přijď.
Pan prof. Černý a pí. Bílá přišli.|Ostatní chyběli.
Bylo to v 19. století.|Pak přišlo 20. století.
Jablka, hrušky atd. jsou levné.|Třešně jsou drahé.
Bylo to r. 1348 n. l. v Praze.|Karel byl rád.
T. G. Masaryk byl prezident.|Byl první.
Schůzka je v 10.|Nikdo to nevěděl.
Zákon č. 89/2012 Sb. platí dodnes.|Čti ho.
Přišla tzv. odborná komise, resp. její část.|Řešila vše.
"""

CHINESE = """
两只狗在玩。|一个男人在看。
下雨了吗？|是的！|那我们留下。
他说：“我累了。”|然后他睡了。
“过来！”她说。|他来了。
价格是3.50元。|很便宜。
请访问 https://www.example.cn/a.b 了解更多。|谢谢。
他等着……|没有人来。
（这是备注。）|这不是。
"""

JAPANESE = """
二匹の犬が遊んでいる。|男の人が見ている。
雨ですか？|はい！|では残りましょう。
彼は「疲れた。」と言った。|そして寝た。
「来て！」と彼女は言った。|彼は来た。
値段は3.50円です。|安いです。
詳しくは https://www.example.jp/a.b をご覧ください。|どうも。
彼は待った……|誰も来なかった。
（これは注です。）|これは違う。
"""

CASES = {
    "en": ENGLISH.strip().splitlines(),
    "de": GERMAN.strip().splitlines(),
    "fr": FRENCH.strip().splitlines(),
    "cs": CZECH.strip().splitlines(),
    "zh": CHINESE.strip().splitlines(),
    "ja": JAPANESE.strip().splitlines(),
}
"""Paragraphs by language."""

HELD_OUT = {
    "en": [
        "Gov. Brown and Sen. White agreed.|Rep. Green did not.",
        "The train leaves at 6:45 p.m. sharp.|Take it.",
        "He weighs approx. 80 kg.|She weighs less.",
        "It is on p. 7, cf. p. 9.|Look there.",
        "Is that so?|I think not.|Well!",
        'He asked, "Why me?" and left.|She stayed.',
        "Prof. Dr. Lee lives on 5th Ave. in New York.|He likes it.",
        "I bought a 2.4 GHz one, etc.|It broke.",
        "The U.K. and the E.U. agreed.|Then they did not.",
        "Call 555.123.4567 now.|It is free.",
    ],
    "de": [
        "Sie kommt am 12. an.|Er kommt am 13. Juni.",
        "Das ist der 5. Versuch.|Er gelang.",
        "Er ist ca. 1,80 m groß.|Sie ist kleiner.",
        "Ludwig XIV. herrschte lange.|Er starb 1715.",
        "Nr. 5 lebt.|Nr. 6 nicht.",
        "„Warum?“, fragte er.|Sie lachte.",
        "Das gilt i. d. R. für alle.|Ausnahmen gibt es.",
        "St. Pölten liegt in Österreich.|Die Stadt ist alt.",
        "Mio. von Menschen, evtl. mehr, sahen es.|Es war toll.",
        "Tel. 0123 nur vorm. von 9 bis 12 Uhr.|Danke.",
    ],
    "fr": [
        "Mlle Petit et M. Grand sont là.|Me Durand aussi.",
        "Le 3 janv. 2020, il neigeait.|Pas le 4 févr. suivant.",
        "C'est au no. 7, cf. p. 9.|Regardez.",
        "Louis XIV a régné longtemps.|Il est mort en 1715.",
        "« Pourquoi ? » demanda-t-il.|Elle rit.",
        "Il mesure env. 1,80 m.|Elle est plus petite.",
        "St. Denis est une ville, éd. 2020, coll. Poche.|Elle est belle.",
        "Il a dit : « Non ! »|Puis il sortit.",
        "Tél. 01 23 45 67 89.|Merci.",
        "Ça va ?|Oui, etc.|Bon.",
    ],
    "cs": [
        "Přišel doc. Novák a JUDr. Malý.|MUDr. Velká ne.",
        "Je to 5. pokus.|Vyšel.",
        "Ludvík XIV. vládl dlouho.|Zemřel roku 1715.",
        "Stálo to 5 mil. Kč a pak 3 mld. Kč.|To je moc.",
        "„Proč?“ zeptal se.|Smála se.",
        "Má 1,80 m, popř. méně.|Ona je menší.",
        "Sejdeme se v 6.45 na nám. Míru.|Přijď včas.",
        "Tel. 123 456 789.|Děkuji.",
        "Bylo to ve sv. Vítu, tzn. v Praze.|Krásné.",
        "Narodil se 28. 10. 1918 v Brně.|Zemřel 5. 3. 1990.",
    ],
}
"""Written after the first rules of server/text/boundaries.py, with CASES in view, had been."""
